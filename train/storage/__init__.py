"""What is kept on disk: leaves and their checks, manifests, migrations, asynchronous saves."""
