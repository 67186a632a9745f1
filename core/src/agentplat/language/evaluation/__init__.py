"""What is put around minijinja, so that an expression gives no answer to what makes no sense."""
