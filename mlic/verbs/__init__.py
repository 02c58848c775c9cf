"""One module a verb, each with `run(arguments, as_json)`; the command line imports the one that is used."""
