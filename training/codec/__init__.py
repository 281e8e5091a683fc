"""The bundled small codec: its data, model, training and file."""
