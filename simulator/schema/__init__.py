"""What users write in YAML: strict reading with line numbers, and the models that say what is allowed."""
