"""How the page looks: light, calm, high contrast, with the fonts of the machine it is shown on. Nothing is fetched."""

from pathlib import Path

from gradio.themes import Base, Color, Font, sizes

CSS = Path(__file__).with_name("page.css")

# Latin first, then the CJK faces of Linux, Windows and macOS: the browser takes each glyph from the first that has it.
SANS = (
    "Inter",
    "Segoe UI Variable Text",
    "Segoe UI",
    "SF Pro Text",
    "Noto Sans",
    "Helvetica Neue",
    "Arial",
    "Noto Sans CJK SC",
    "Source Han Sans SC",
    "PingFang SC",
    "Microsoft YaHei",
    "Noto Sans CJK TC",
    "PingFang TC",
    "Microsoft JhengHei",
    "Noto Sans CJK JP",
    "Hiragino Sans",
    "Yu Gothic UI",
    "Meiryo",
    "sans-serif",
)
MONO = ("JetBrains Mono", "Cascadia Mono", "SF Mono", "Noto Sans Mono", "DejaVu Sans Mono", "Consolas", "monospace")

# Eleven steps from light to dark, as Gradio counts them: 50, 100, 200 ... 900, 950.
BLUES = "#eff5ff #dbe8fe #bcd4fb #8fb7f6 #5a92ee #3072e0 #1d5ac8 #1648a3 #143c85 #12316b #0b1f47"
STEELS = "#f6f7f9 #eef0f3 #dfe3e8 #cbd1d8 #98a2ad #6b7681 #4a545f #363f48 #242b32 #171c21 #0d1013"


def theme() -> Base:
    """Dark text on white, one blue for what can be pressed, edges that can be seen from a metre away."""
    blue, steel = Color(*BLUES.split()), Color(*STEELS.split())
    made = Base(
        primary_hue=blue,
        secondary_hue=blue,
        neutral_hue=steel,
        spacing_size=sizes.spacing_sm,
        radius_size=sizes.radius_md,
        text_size=sizes.text_md,
        font=[Font(name) for name in SANS],
        font_mono=[Font(name) for name in MONO],
    )
    return made.set(
        body_background_fill="*neutral_100",
        body_text_color="*neutral_900",
        body_text_color_subdued="*neutral_600",
        background_fill_primary="#ffffff",
        background_fill_secondary="*neutral_50",
        border_color_primary="*neutral_300",
        block_background_fill="#ffffff",
        block_border_width="0px",
        block_shadow="none",
        block_label_text_color="*neutral_900",
        block_title_text_color="*neutral_900",
        block_title_text_weight="600",
        block_info_text_color="*neutral_600",
        input_background_fill="#ffffff",
        input_border_color="*neutral_400",
        input_border_width="1px",
        button_primary_background_fill="*primary_600",
        button_primary_background_fill_hover="*primary_700",
        button_primary_text_color="#ffffff",
        button_secondary_background_fill="#ffffff",
        button_secondary_background_fill_hover="*neutral_100",
        button_secondary_border_color="*neutral_400",
        button_secondary_text_color="*neutral_900",
        button_large_text_weight="600",
        slider_color="*primary_600",
        panel_background_fill="#ffffff",
    )


def css() -> str:
    """The rules a theme has no word for."""
    return CSS.read_text(encoding="utf-8")
