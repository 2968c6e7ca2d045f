"""Tables, figures and pages (floor 3), drawn from finished result rows.

Imports only `densimeter.formats` and never calls a model: what a page shows is what a row already says.
"""
