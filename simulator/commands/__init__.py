"""The subcommands of `densimeter`, one module each: options in, a call to the floors below, a table or JSON out."""
