"""The page and the server around it: all that knows Gradio and HTTP. Touches no tensor, loads no weights."""
