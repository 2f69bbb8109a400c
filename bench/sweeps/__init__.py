"""One configuration from words to records, and what people see while it runs."""
