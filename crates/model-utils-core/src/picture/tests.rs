//! What a reader of the pictures sees.

use std::fs;

use image::AnimationDecoder as _;
use image::codecs::gif::GifDecoder;

use super::*;
use crate::config::ConfigError;
use crate::error::Error;
use crate::image::Image;

/// The texts of an SVG, which must be well-formed.
#[track_caller]
fn texts(svg: &str) -> Vec<String> {
    let document = roxmltree::Document::parse(svg).expect("well-formed SVG");
    let is_text = |node: &roxmltree::Node<'_, '_>| node.has_tag_name("text");
    let trimmed =
        |node: roxmltree::Node<'_, '_>| node.text().unwrap_or_default().trim().to_string();
    // No number is NaN or infinite.
    for node in document.descendants() {
        for attribute in node.attributes().filter(|a| a.name() != "aria-label") {
            let value = attribute.value();
            assert!(!value.contains("NaN") && !value.contains("inf"), "{value}");
        }
    }
    document.descendants().filter(is_text).map(trimmed).collect()
}

#[track_caller]
fn names(svg: &str, expected: &[&str]) {
    let found = texts(svg);
    for name in expected {
        assert!(found.iter().any(|text| text == name), "{name:?} is not in {found:?}");
    }
}

#[track_caller]
fn reason<T: std::fmt::Debug>(result: Result<T, Error>) -> String {
    let error = result.unwrap_err();
    assert!(matches!(error, Error::Picture { .. }), "{error:?}");
    error.to_string()
}

#[test]
fn curves_name_their_series_and_escape_their_labels() {
    let svg = Curves::new("a < b & \"c\"")
        .x_label("step <n>")
        .y_label("loss & more")
        .line("train & test", &[(0.0, 1.0), (1.0, 0.5)])
        .band("seeds", &[(0.0, 0.9, 1.1), (1.0, 0.4, 0.6)])
        .dots("<best>", &[(1.0, 0.4)])
        .marker(0.5, "half > way")
        .to_svg()
        .unwrap();
    let shown = [
        "a < b & \"c\"",
        "step <n>",
        "loss & more",
        "train & test",
        "seeds",
        "<best>",
        "half > way",
    ];
    names(&svg, &shown);
    assert!(svg.contains("sans-serif"));
    assert_eq!(svg.matches("<polygon").count(), 1);
}

#[test]
fn long_labels_are_whole_and_within_the_picture() {
    let words = |name: &str| (0..40).map(|i| format!("{name}{i}")).collect::<Vec<_>>().join(" ");
    let [title, x, y, key] = ["title", "x", "y", "key"].map(words);
    let curves = Curves::new(&title).x_label(&x).y_label(&y).line(&key, &[(0.0, 1.0), (1.0, 2.0)]);
    let svg = curves.size(400, 300).to_svg().unwrap();
    let all = texts(&svg).join(" ");
    for label in [title, x, y, key] {
        assert!(all.contains(&label), "{label:?} is not in {all:?}");
    }
    // What stands upright is no longer than the plot, which ends where the last grid line does.
    let document = roxmltree::Document::parse(&svg).unwrap();
    let upright: Vec<_> = document
        .descendants()
        .filter(|node| node.attribute("transform").is_some_and(|t| t.contains("rotate(270")))
        .collect();
    assert!(upright.len() > 1, "{svg}");
}

#[test]
fn points_that_cannot_be_drawn_break_their_line() {
    let points = |bad: f64| [(0.0, 1.0), (1.0, 2.0), (2.0, bad), (3.0, 2.0), (4.0, 1.0)];
    let lines = |curves: Curves| {
        let svg = curves.to_svg().unwrap();
        texts(&svg);
        // The line's colour and width tell it from the grid and the legend.
        svg.matches("stroke=\"#0072B2\" stroke-width=\"8\"").count()
    };
    assert_eq!(lines(Curves::new("").line("a", &points(3.0))), 1);
    for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, f64::MAX] {
        assert_eq!(lines(Curves::new("").line("a", &points(bad))), 2);
    }
    assert_eq!(lines(Curves::new("").log_y().line("a", &points(0.0))), 2);
    let svg = Curves::new("").log_x().line("a", &points(1.0)).to_svg().unwrap();
    assert!(!svg.contains("NaN"));
}

#[test]
fn curves_without_a_point_are_errors_that_say_which() {
    assert!(reason(Curves::new("").to_svg()).contains("no line"));
    assert!(reason(Curves::new("").line("a", &[]).to_svg()).contains("\"a\" is empty"));
    let good = Curves::new("").line("good", &[(0.0, 1.0)]);
    let text = reason(good.clone().line("bad", &[(0.0, f64::NAN); 3]).to_svg());
    assert!(text.contains("\"bad\"") && text.contains("all 3"), "{text}");
    assert!(reason(good.clone().marker(f64::NAN, "m").to_svg()).contains("marker"));
    assert!(reason(good.clone().size(10_000_000, 10).to_svg()).contains("pixels"));
    for (low, high) in [(1.0, 1.0), (2.0, 1.0), (f64::NAN, 1.0)] {
        let error = good.clone().y_range(low, high).to_svg().unwrap_err();
        assert!(matches!(error, Error::Config(ConfigError { field: "y_range", .. })), "{error}");
    }
    assert!(reason(good.save("picture.png")).contains(".svg"));
}

#[test]
fn degenerate_curves_are_drawn() {
    let shapes: [&[(f64, f64)]; 6] = [
        &[(0.0, 0.0)],
        &[(1.0, 5.0), (2.0, 5.0)],
        &[(1.0, 1.0), (1.0, 2.0)],
        &[(1e9, 1e-9), (1e9 + 1.0, 2e-9)],
        &[(-1e300, -1e300), (1e300, 1e300)],
        &[(1.0, 1.0), (1.0 + f64::EPSILON, 1.0 + f64::EPSILON)],
    ];
    for points in shapes {
        let band: Vec<_> = points.iter().map(|&(x, y)| (x, y, y)).collect();
        let curves = Curves::new("a very long title ".repeat(40)).line("a", points);
        let curves = curves.band("a very long name ".repeat(20), &band).size(1, 1);
        texts(&curves.to_svg().unwrap());
        if points[0].0 > 0.0 {
            texts(&curves.log_x().log_y().to_svg().unwrap());
        }
    }
}

#[test]
fn bars_show_categories_series_and_values() {
    let bars = Bars::new("Speed")
        .y_label("images / s")
        .categories(&["one", "two words & more"])
        .bars("flex", &[10.0, 12.5])
        .bars_with_range("wgpu", &[(20.0, 18.0, 22.0), (f64::NAN, 0.0, f64::INFINITY)]);
    let svg = bars.to_svg().unwrap();
    names(&svg, &["Speed", "images / s", "one", "flex", "wgpu", "10", "12.5", "20"]);
    assert!(!texts(&svg).contains(&"NaN".to_string()));
    names(&bars.clone().decimals(2).to_svg().unwrap(), &["10.00", "12.50"]);
    assert!(!texts(&bars.clone().values(false).to_svg().unwrap()).contains(&"12.5".to_string()));
    texts(&bars.log_y().to_svg().unwrap());
}

#[test]
fn bars_are_drawn_from_zero_in_both_directions() {
    for values in [[0.0, 0.0], [-1.0, 2.0], [-3.0, -4.0], [5.0, 5.0], [1e-200, 1e200]] {
        texts(&Bars::new("").categories(&["a", "b"]).bars("s", &values).to_svg().unwrap());
    }
    let many: Vec<String> = (0..300).map(|i| format!("long_category_name_{i}")).collect();
    let values: Vec<f64> = (0..300).map(f64::from).collect();
    texts(&Bars::new("").categories(&many).bars("s", &values).to_svg().unwrap());
}

#[test]
fn bars_that_do_not_fit_their_categories_are_errors() {
    let bars = Bars::new("").categories(&["a", "b"]);
    assert!(reason(bars.to_svg()).contains("no category or no series"));
    assert!(reason(bars.clone().bars("s", &[1.0]).to_svg()).contains("1 values, expected 2"));
    assert!(reason(bars.clone().bars("s", &[f64::NAN; 2]).to_svg()).contains("no value to draw"));
    assert!(reason(bars.log_y().bars("s", &[0.0, -1.0]).to_svg()).contains("logarithmic"));
}

#[test]
fn a_line_keeps_its_colour_where_others_are_left_out() {
    let points = [(0.0, 1.0), (1.0, 2.0)];
    let stroke = |curves: Curves| {
        let svg = curves.to_svg().unwrap();
        let document = roxmltree::Document::parse(&svg).unwrap();
        let lines = document.descendants().filter(|node| node.has_tag_name("polyline"));
        let widest = lines.filter(|node| node.attribute("stroke-width") == Some("8"));
        let strokes: Vec<String> =
            widest.filter_map(|node| node.attribute("stroke").map(str::to_owned)).collect();
        strokes
    };
    let all = stroke(Curves::new("").line("a", &points).line("b", &points).line("c", &points));
    assert_eq!(all.len(), 3);
    let some = stroke(Curves::new("").color(1).line("b", &points).line("c", &points));
    assert_eq!(some, all[1..]);
    let turned = stroke(Curves::new("").color(2).line("c", &points).color(0).line("a", &points));
    assert_eq!(turned, [all[2].clone(), all[0].clone()]);
}

#[test]
fn every_row_and_column_of_a_wide_or_high_heat_map_is_named() {
    for (rows, columns) in [(15, 64), (64, 15), (100, 3), (40, 40)] {
        let row_labels: Vec<String> = (0..rows).map(|at| format!("row {at}")).collect();
        let column_labels: Vec<String> = (0..columns).map(|at| format!("column {at}")).collect();
        let map = HeatMap::new("", &vec![vec![0.5; columns]; rows]).unwrap();
        let svg = map.row_labels(&row_labels).column_labels(&column_labels).to_svg().unwrap();
        let all = texts(&svg);
        for label in row_labels.iter().chain(&column_labels) {
            assert!(all.contains(label), "{rows} × {columns}: {label:?} is not in {all:?}");
        }
    }
}

#[test]
fn a_confusion_matrix_shows_its_counts_and_classes() {
    let counts = [[987_654, 3, 0], [5, 42, 1], [0, 0, 0]];
    let map = HeatMap::confusion(&counts, &["cat", "dog", "a<b"]).unwrap();
    let svg = map.to_svg().unwrap();
    names(&svg, &["987654", "3", "5", "42", "1", "0", "cat", "dog", "a<b", "truth", "prediction"]);
    // By the share of the row: 42 of 48 is nearly as bright as 987654 of 987657.
    assert!(svg.contains("fill=\"#FDE725\"") && svg.contains("fill=\"#440154\""));
    texts(&map.log_color().to_svg().unwrap());
    assert!(reason(HeatMap::confusion(&[[1, 2]], &["a", "b"])).contains("2 × 2"));
    assert!(reason(HeatMap::confusion(&[[1], [2]], &["a", "b"])).contains("1 columns"));
    let none: [[u64; 0]; 0] = [];
    assert!(reason(HeatMap::confusion::<_, &str>(&none, &[])).contains("no cells"));
}

#[test]
fn heat_maps_take_every_shape() {
    for rows in
        [vec![vec![1.0]], vec![vec![0.0; 50]], vec![vec![-2.0]; 50], vec![vec![1e300; 2]; 2]]
    {
        texts(&HeatMap::new("", &rows).unwrap().to_svg().unwrap());
    }
    let gap = HeatMap::new("", &[[1.0, f64::NAN]]).unwrap();
    names(&gap.to_svg().unwrap(), &["–"]);
    names(&gap.decimals(3).range(0.0, 2.0).to_svg().unwrap(), &["1.000"]);
    let large = vec![vec![0.5; 200]; 200];
    assert!(texts(&HeatMap::new("", &large).unwrap().to_svg().unwrap()).len() < 10);
}

#[test]
fn heat_maps_that_make_no_sense_are_errors() {
    let empty: [[f64; 0]; 1] = [[]];
    assert!(reason(HeatMap::new("", &empty)).contains("no cells"));
    assert!(reason(HeatMap::new("", &[vec![1.0], vec![]])).contains("row 1 has 0"));
    let map = |value: f64| HeatMap::new("", &[[value]]).unwrap();
    assert!(reason(map(f64::NAN).to_svg()).contains("no value is finite"));
    assert!(reason(map(0.0).log_color().to_svg()).contains("positive"));
    assert!(reason(map(1.0).row_labels(&["a", "b"]).to_svg()).contains("2 row labels for 1 rows"));
    let error = map(1.0).range(1.0, 0.0).to_svg().unwrap_err();
    assert!(matches!(error, Error::Config(ConfigError { field: "range", .. })), "{error}");
}

#[test]
fn a_flow_chart_shows_its_blocks_and_arrows() {
    let chart = FlowChart::new("a < b & \"c\"")
        .block(["input <x>", "[N, 3]"], 6, &[])
        .block(vec!["conv & \"norm\"".to_string()], 0, &[0])
        .block(["add", "1", "2", "'3'"], 700, &[1, 0, 0, 1]);
    let svg = chart.to_svg().unwrap();
    names(
        &svg,
        &["a < b & \"c\"", "input <x>", "[N, 3]", "conv & \"norm\"", "add", "1", "2", "'3'"],
    );
    // The ground, and two for each box; an arrow for each pair.
    assert_eq!(svg.matches("<rect").count(), 1 + 2 * 3);
    assert_eq!(svg.matches("<polygon").count(), 3);
    assert_eq!(svg.matches("<polyline").count(), 3);
    assert_eq!(svg.matches("font-weight=\"bold\"").count(), 1 + 3);
    assert!(svg.contains("fill=\"#0072B2\""));
    assert_eq!(svg, chart.clone().to_svg().unwrap());
    let folder = tempfile::tempdir().unwrap();
    chart.save(folder.path().join("new/chart.svg")).unwrap();
    assert!(reason(chart.save("chart.png")).contains(".svg"));
}

#[test]
fn texts_of_flow_charts_fit_their_boxes() {
    let long = "a very long line of text ".repeat(10);
    let chart = FlowChart::new(&long).block([&long, &long], 1, &[]).block([""], 2, &[0]);
    let svg = chart.to_svg().unwrap();
    assert!(texts(&svg).iter().all(|text| text.chars().count() < 60));
    let width: f64 =
        svg.split(" width=\"").nth(1).unwrap().split('"').next().unwrap().parse().unwrap();
    assert!((250.0..480.0).contains(&width), "{width}");
}

#[test]
fn flow_charts_that_cannot_be_are_errors() {
    assert!(reason(FlowChart::new("").to_svg()).contains("no block"));
    let one = FlowChart::new("").block(["one"], 0, &[]);
    for input in [1, 2, usize::MAX] {
        let text = reason(one.clone().block(["two"], 0, &[0, input]).to_svg());
        assert!(text.contains(&format!("block 1 takes block {input}, which is not before")));
    }
    assert!(reason(one.clone().block(["a"; 5], 0, &[0]).to_svg()).contains("block 1 has 5 lines"));
    let none: [&str; 0] = [];
    assert!(reason(one.clone().block(none, 0, &[0]).to_svg()).contains("block 1 has 0 lines"));
    let tall = (1..2000).fold(one, |chart, block| chart.block(["next"], 0, &[block - 1]));
    assert!(reason(tall.to_svg()).contains("pixels"));
}

#[test]
fn a_grid_enlarges_its_images_and_puts_them_in_their_places() {
    let grey = Image::filled(28, 28, &[40]);
    let red = Image::filled(28, 28, &[200, 10, 10]);
    let picture = grid(&[grey.clone(), red.clone(), grey]).unwrap().columns(2).to_image().unwrap();
    // Three times 28, with edges of 10 and gaps of 6.
    assert_eq!((picture.width(), picture.height(), picture.channels()), (194, 194, 3));
    assert_eq!(picture.pixel(9, 9), [255, 255, 255]);
    assert_eq!(picture.pixel(10, 10), [40, 40, 40]);
    assert_eq!(picture.pixel(93, 93), [40, 40, 40]);
    assert_eq!(picture.pixel(94, 10), [255, 255, 255]);
    assert_eq!(picture.pixel(100, 10), [200, 10, 10]);
    assert_eq!(picture.pixel(10, 100), [40, 40, 40]);
    assert_eq!(picture.pixel(100, 100), [255, 255, 255]);
    let exact = grid(&[red]).unwrap().scale(1).to_image().unwrap();
    assert_eq!((exact.width(), exact.height()), (48, 48));
}

#[test]
fn a_grid_keeps_pixels_sharp_and_centres_smaller_images() {
    let checks = Image::new(2, 1, 1, vec![0, 255]).unwrap();
    let tall = Image::filled(2, 3, &[9]);
    let picture = Grid::new().image(&tall).image(&checks).columns(2).scale(4).to_image().unwrap();
    // Tiles of 8 × 12; the second image is 8 × 4, so 4 below the top of its tile.
    assert_eq!(picture.pixel(10 + 8 + 6, 10 + 4), [0, 0, 0]);
    assert_eq!(picture.pixel(10 + 8 + 6 + 3, 10 + 7), [0, 0, 0]);
    assert_eq!(picture.pixel(10 + 8 + 6 + 4, 10 + 4), [255, 255, 255]);
    assert_eq!(picture.pixel(10 + 8 + 6, 10 + 3), [255, 255, 255]);
}

#[test]
fn captions_are_written_below_their_image_in_their_colour() {
    let image = Image::filled(64, 64, &[0]);
    let long = "a caption much longer than the tile it belongs to";
    let picture = Grid::new()
        .title("Title")
        .verdict(&image, "7", true)
        .verdict(&image, long, false)
        .columns(2)
        .to_image()
        .unwrap();
    let has = |color: [u8; 3], columns: std::ops::Range<usize>| {
        let rows = 10 + 23 + 64..picture.height();
        rows.into_iter().any(|y| columns.clone().any(|x| picture.pixel(x, y) == color))
    };
    assert!(has(GREEN, 10..74) && !has(GREEN, 74..picture.width()));
    assert!(has(RED, 80..144) && !has(RED, 0..80) && !has(RED, 144..picture.width()));
    assert_eq!(raster::fit(long, raster::SMALL, 64), "a capti...");
    assert_eq!(raster::fit("abcdef", raster::SMALL, 12), "..");
}

#[test]
fn a_grid_is_saved_as_png_whole_or_not_at_all() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("new/grid.png");
    let images = vec![Image::filled(4, 4, &[7]); 5];
    grid(&images).unwrap().save(&path).unwrap();
    let read = image::open(&path).unwrap().to_rgb8();
    assert_eq!(read.as_raw(), grid(&images).unwrap().to_image().unwrap().pixels());
    assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
    assert!(reason(grid(&images).unwrap().save("grid.jpg")).contains(".png"));
}

#[test]
fn grids_that_cannot_be_are_errors() {
    assert!(reason(grid(&[])).contains("no image"));
    assert!(reason(Grid::new().to_image()).contains("no image"));
    let one = Grid::new().image(&Image::filled(4, 4, &[7]));
    let error = one.clone().columns(0).to_image().unwrap_err();
    assert!(matches!(error, Error::Config(ConfigError { field: "columns", .. })), "{error}");
    let error = one.clone().scale(0).to_image().unwrap_err();
    assert!(matches!(error, Error::Config(ConfigError { field: "scale", .. })), "{error}");
    assert!(reason(one.clone().scale(1 << 30).to_image()).contains("pixels"));
    assert!(reason(one.scale(usize::MAX).to_image()).contains("pixels"));
    // Extreme shapes, without enlarging them beyond measure.
    let wide = grid(&[Image::filled(2000, 1, &[7])]).unwrap().to_image().unwrap();
    assert_eq!((wide.width(), wide.height()), (2020, 21));
}

#[test]
fn an_animation_decodes_to_its_frames() {
    let mut animation = Animation::new(120).scale(2);
    for shade in [0, 100, 200] {
        animation.push(&Image::filled(5, 3, &[shade])).unwrap();
    }
    animation.push_for(&Image::filled(5, 3, &[200, 0, 0]), 1000).unwrap();
    assert_eq!((animation.len(), animation.is_empty()), (4, false));
    let gif = animation.to_gif().unwrap();
    assert_eq!(gif, animation.to_gif().unwrap());
    let decoder = GifDecoder::new(std::io::Cursor::new(&gif)).unwrap();
    let frames = decoder.into_frames().collect_frames().unwrap();
    let delays: Vec<u32> = frames.iter().map(|frame| frame.delay().numer_denom_ms().0).collect();
    assert_eq!(delays, [120, 120, 120, 1000]);
    assert_eq!(frames[1].buffer().dimensions(), (10, 6));
    assert_eq!(frames[1].buffer().get_pixel(9, 5).0, [100, 100, 100, 255]);
    assert_eq!(frames[3].buffer().get_pixel(0, 0).0, [200, 0, 0, 255]);
    assert!(gif.windows(11).any(|bytes| bytes == b"NETSCAPE2.0"));
}

#[test]
fn a_frame_of_many_colours_is_close_and_the_same_each_time() {
    let pixels: Vec<u8> = (0..64u32 * 64)
        .flat_map(|i| [(i % 64 * 4) as u8, (i / 64 * 4) as u8, ((i % 64 + i / 64) * 2) as u8])
        .collect();
    let image = Image::new(64, 64, 3, pixels).unwrap();
    let mut animation = Animation::new(50).times(2);
    animation.push(&image).unwrap();
    let gif = animation.to_gif().unwrap();
    assert_eq!(gif, animation.to_gif().unwrap());
    let decoder = GifDecoder::new(std::io::Cursor::new(&gif)).unwrap();
    let frames = decoder.into_frames().collect_frames().unwrap();
    let error: u32 = frames[0]
        .buffer()
        .pixels()
        .flat_map(|pixel| pixel.0.into_iter().take(3))
        .zip(image.pixels())
        .map(|(found, &expected)| u32::from(found.abs_diff(expected)))
        .sum();
    assert!(error / (64 * 64 * 3) < 8, "{error}");
}

#[test]
fn animations_that_cannot_be_are_errors() {
    let mut animation = Animation::new(50);
    assert!(reason(animation.to_gif()).contains("no frame"));
    animation.push(&Image::filled(5, 3, &[0])).unwrap();
    let error = animation.push(&Image::filled(3, 5, &[0])).unwrap_err();
    assert!(matches!(error, Error::Shape { .. }), "{error}");
    assert_eq!(animation.len(), 1);
    assert!(animation.clone().scale(0).to_gif().is_err());
    assert!(reason(animation.clone().scale(70_000).to_gif()).contains("65535"));
    assert!(reason(animation.save("a.png")).contains(".gif"));
}

#[test]
fn a_page_shows_its_sections_escaped() {
    let section = |name: &str| {
        Section::new(name)
            .text("Less < more & \"so on\"")
            .header(&["device", "time, ms"])
            .row(&["<flex>", "12.5"])
            .row(&["wgpu", "–"])
            .picture("stage one/loss.svg", "Loss \"falls\"")
            .figure("of <all>", "97 %")
            .figure("each", "12 ms")
            .text("Behind it.")
            .command("run -- --data <DIR>")
    };
    let page = Page::new("Tour <1>").text("What was done.").section(section("A & B"));
    let page = page.footer("1 & 2").language("ja");
    let html = page.clone().section(section("C")).section(section("D")).to_html().unwrap();
    for part in [
        "<title>Tour &lt;1&gt;</title>",
        "<h2>A &amp; B</h2>",
        "<a href=\"#s1\">A &amp; B</a>",
        "Less &lt; more &amp; &quot;so on&quot;",
        "<td>&lt;flex&gt;</td><td class=\"number\">12.5</td>",
        "src=\"stage%20one/loss.svg\" alt=\"Loss &quot;falls&quot;\"",
        "<dl>\n<div><dd>97 %</dd><dt>of &lt;all&gt;</dt></div>\n<div><dd>12 ms</dd>",
        "</dl>\n<p>Behind it.</p>\n<pre>run -- --data &lt;DIR&gt;</pre>",
        "<footer>1 &amp; 2</footer>",
        "<html lang=\"ja\">",
        "prefers-color-scheme: dark",
    ] {
        assert!(html.contains(part), "{part} is not in {html}");
    }
    assert!(!html.contains("http") && !html.contains("<script"));
    let folder = tempfile::tempdir().unwrap();
    page.save(folder.path().join("tour/index.html")).unwrap();
}

#[test]
fn a_page_can_carry_its_pictures() {
    let folder = tempfile::tempdir().unwrap();
    Curves::new("").line("a", &[(0.0, 1.0)]).save(folder.path().join("a.svg")).unwrap();
    let page = |path: &str| {
        Page::new("")
            .section(Section::new("").picture(path, ""))
            .embed_from(folder.path())
            .to_html()
    };
    assert!(page("a.svg").unwrap().contains("src=\"data:image/svg+xml;base64,PHN2Zy"));
    assert!(matches!(page("b.svg").unwrap_err(), Error::Io { action: "read", .. }));
    assert!(reason(page("b.exe")).contains("unknown kind"));
}

#[test]
fn pages_that_would_be_broken_are_errors() {
    let page = |section| Page::new("").section(section).to_html();
    let uneven = Section::new("s").header(&["a", "b"]).row(&["1"]);
    assert!(reason(page(uneven)).contains("row 0: 1 cells, expected 2"));
    for path in ["", "/etc/a.png", "javascript:alert(1)", "https://example.org/a.png", "C:\\a.png"]
    {
        assert!(reason(page(Section::new("").picture(path, ""))).contains("relative"), "{path}");
    }
}
