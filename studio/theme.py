"""How the page looks: calm and high in contrast, light or dark, in the fonts of the machine it is shown on. Nothing is
fetched.

One design, two sets of scales: every colour of the page is a step of a scale or a name for one, and the dark theme is
the same design with its scales turned round. Knows colours, fonts and sizes; not who chooses between light and dark
(studio/static/look.js).
"""

from pathlib import Path

from gradio.themes import Base, Color, Font, sizes

from studio import i18n

CSS = Path(__file__).with_name("page.css")

# Latin first, then the CJK faces of Linux, Windows and macOS: the browser takes each glyph from the first that has it.
LATIN = (
    "Inter",
    "Segoe UI Variable Text",
    "Segoe UI",
    "SF Pro Text",
    "Noto Sans",
    "Helvetica Neue",
    "Arial",
)
CJK = {
    "zh-CN": ("Noto Sans CJK SC", "Noto Sans SC", "Source Han Sans SC", "PingFang SC", "Microsoft YaHei"),
    "zh-TW": ("Noto Sans CJK TC", "Noto Sans TC", "Source Han Sans TC", "PingFang TC", "Microsoft JhengHei"),
    "ja": ("Noto Sans CJK JP", "Noto Sans JP", "Source Han Sans", "Hiragino Sans", "Yu Gothic UI", "Meiryo"),
}
MONO = ("JetBrains Mono", "Cascadia Mono", "SF Mono", "Noto Sans Mono", "DejaVu Sans Mono", "Consolas")

# Eleven steps as Gradio counts them: 50, 100, 200 ... 900, 950. From what lies behind to what stands in front: light to
# dark on the light page, dark to light on the dark one.
STEPS = (50, 100, 200, 300, 400, 500, 600, 700, 800, 900, 950)
BLUES = "#eff5ff #dbe8fe #bcd4fb #8fb7f6 #5a92ee #3072e0 #1d5ac8 #1648a3 #143c85 #12316b #0b1f47"
BLUES_DARK = "#182333 #1d3050 #27457a #33599e #4a7cd0 #6199f0 #86b4ff #a8caff #c2daff #dbe9ff #eff5ff"
STEELS = "#f6f7f9 #eef0f3 #dfe3e8 #cbd1d8 #828d99 #646f7a #4a545f #363f48 #242b32 #171c21 #0d1013"
STEELS_DARK = "#14191e #2b333b #37414a #46515c #7b8794 #a2acb7 #b4bdc7 #cbd1d8 #dfe3e8 #f0f2f5 #ffffff"
PAPER, PAPER_DARK = "#ffffff", "#1a2026"
REDS, REDS_DARK = ("#b3261a", "#fdeeec", "#8f1c12"), ("#ff9d92", "#3a1d1b", "#ffb9b1")


def theme(code: str = i18n.ENGLISH) -> Base:
    """One blue for what can be pressed, edges that can be seen from a metre away; fonts as fits the language `code`."""
    blue, steel = Color(*BLUES.split()), Color(*STEELS.split())
    made = Base(
        primary_hue=blue,
        secondary_hue=blue,
        neutral_hue=steel,
        spacing_size=sizes.spacing_sm,
        radius_size=sizes.radius_md,
        text_size=sizes.text_md,
        font=[Font(name) for name in fonts(code)],
        font_mono=[Font(name) for name in (*MONO, *_cjk(code), "monospace")],
    )
    red, red_soft, red_strong = REDS
    made.set(
        body_background_fill="*neutral_100",
        body_text_color="*neutral_900",
        body_text_color_subdued="*neutral_600",
        background_fill_primary=PAPER,
        background_fill_secondary="*neutral_50",
        border_color_primary="*neutral_300",
        block_background_fill="*background_fill_primary",
        block_border_width="0px",
        block_shadow="none",
        block_label_text_color="*neutral_900",
        block_title_text_color="*neutral_900",
        block_title_text_weight="600",
        block_info_text_color="*neutral_600",
        input_background_fill="*background_fill_primary",
        input_border_color="*neutral_400",
        input_border_color_focus="*primary_600",
        input_border_width="1px",
        input_placeholder_color="*neutral_500",
        button_primary_background_fill="*primary_600",
        button_primary_background_fill_hover="*primary_700",
        button_primary_border_color="*primary_600",
        button_primary_border_color_hover="*primary_700",
        button_primary_text_color=PAPER,
        button_secondary_background_fill="*background_fill_primary",
        button_secondary_background_fill_hover="*neutral_100",
        button_secondary_border_color="*neutral_400",
        button_secondary_border_color_hover="*neutral_500",
        button_secondary_text_color="*neutral_900",
        button_large_text_weight="600",
        checkbox_border_color="*neutral_400",
        checkbox_border_color_hover="*neutral_500",
        checkbox_label_text_color_selected="*body_text_color",
        code_background_fill="*neutral_100",
        color_accent="*primary_600",
        error_background_fill=red_soft,
        error_border_color=red,
        error_icon_color=red,
        error_text_color=red_strong,
        link_text_color="*primary_600",
        link_text_color_active="*primary_700",
        link_text_color_hover="*primary_700",
        link_text_color_visited="*primary_600",
        loader_color="*primary_600",
        slider_color="*primary_600",
        panel_background_fill="*background_fill_primary",
        table_border_color="*neutral_300",
        table_even_background_fill="*background_fill_primary",
        table_odd_background_fill="*neutral_50",
    )
    return _darken(made)


def _darken(made: Base) -> Base:
    """The same design on turned scales: what Gradio would draw otherwise in the dark follows the light page again."""
    for name in [name for name in vars(made) if name.endswith("_dark")]:
        delattr(made, name)  # what has no dark twin is the same in both
    red, red_soft, red_strong = REDS_DARK
    dark = {
        "background_fill_primary": PAPER_DARK,
        "body_background_fill": "#101418",
        "button_primary_text_color": "#0b1f47",
        "checkbox_check": made.checkbox_check.replace("fill='white'", "fill='%230b1f47'"),
        "radio_circle": made.radio_circle.replace("fill='white'", "fill='%230b1f47'"),
        "error_background_fill": red_soft,
        "error_border_color": red,
        "error_icon_color": red,
        "error_text_color": red_strong,
    }
    for hue, steps in (("neutral", STEELS_DARK), ("primary", BLUES_DARK), ("secondary", BLUES_DARK)):
        dark |= {f"{hue}_{step}": colour for step, colour in zip(STEPS, steps.split(), strict=True)}
    for name, value in dark.items():
        setattr(made, f"{name}_dark", value)
    return made


def fonts(code: str = i18n.ENGLISH) -> tuple[str, ...]:
    """The font stack of a page in that language: its own CJK faces stand before those of the others."""
    return (*LATIN, *_cjk(code), "sans-serif")


def _cjk(code: str) -> tuple[str, ...]:
    order = sorted(CJK, key=lambda other: other != code)
    return tuple(name for other in order for name in CJK[other])


def css() -> str:
    """The rules a theme has no word for."""
    return CSS.read_text(encoding="utf-8")
