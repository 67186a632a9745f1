"""The agent {{ cookiecutter.name }}."""
