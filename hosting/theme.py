"""Colours and sizes of text. All text has a contrast of at least 4.5:1 in both themes, and at least 12 pixels."""

import gradio as gr

# Small text grows with the window: what is read at arm's length on a laptop is read from further away on a large screen.
SIZES = {
    "xxs": "12px",
    "xs": "clamp(12px, .4vw + 6.5px, 14px)",
    "sm": "clamp(13px, .4vw + 7.5px, 15px)",
    "md": "clamp(14px, .4vw + 8.5px, 16px)",
    "lg": "clamp(16px, .4vw + 10.5px, 18px)",
    "xl": "22px",
    "xxl": "26px",
}


def theme() -> gr.themes.Base:
    return gr.themes.Soft(
        primary_hue="indigo",
        neutral_hue="slate",
        text_size=gr.themes.Size(name="text", **SIZES),
        font=["ui-sans-serif", "system-ui", "sans-serif"],
        font_mono=["ui-monospace", "monospace"],
    ).set(
        body_text_color_subdued="*neutral_600",
        input_placeholder_color="*neutral_500",
        input_placeholder_color_dark="*neutral_400",
        color_accent="*primary_600",  # in the dark theme page.css has a lighter one
        block_title_text_color="*primary_700",
        block_label_text_color="*primary_700",
        link_text_color_dark="*primary_300",
        link_text_color_hover_dark="*primary_200",
        link_text_color_active_dark="*primary_300",
        link_text_color_visited_dark="*primary_300",
        slider_color="*primary_600",
        slider_color_dark="*primary_400",
        checkbox_label_background_fill_selected="*primary_600",
        button_primary_background_fill="*primary_600",
        button_primary_background_fill_hover="*primary_700",
        button_primary_background_fill_hover_dark="*primary_700",
        button_secondary_background_fill_hover_dark="*primary_700",
    )
