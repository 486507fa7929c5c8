"""`helm llmkube doctor`: looks for everything that would make an install fail or hang, before it does."""
