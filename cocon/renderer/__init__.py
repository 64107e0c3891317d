"""The renderer of the embedded demo: people in scenes, with their true joints, masks and flow."""
