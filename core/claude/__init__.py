"""A researcher that is a language model: its tools, its context, its budget and its calls."""
