// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package monitoring

import (
	"bytes"
	"flag"
	"image"
	"image/png"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

var screenshot = flag.Bool("screenshot", false, "write docs/images/dashboard-bridge.png")

// documented is the picture of the documentation. It ends before the row lastRow of the dashboard.
const (
	documented = "docs/images/dashboard-bridge.png"
	lastRow    = "Buffers"
)

// No Grafana is available for this test. It runs the queries of all panels with the engine of
// Prometheus, draws the results at the places of the panels, and looks at the page in Chromium.
func TestDashboards_Incident_FillsAllPanels(t *testing.T) {
	h := incident(t)
	for uid, selected := range map[string]map[string]string{
		"mqttbridge-bridge": {"namespace": "plant", "bridge": "press"},
		"mqttbridge-fleet":  {"namespace": ".*"},
	} {
		d := dashboards(t)[uid]
		h.checkSelection(&d, selected)
		text, height, faults := h.render(&d, selected)
		for _, fault := range faults {
			t.Errorf("%s: %s", uid, fault)
		}
		file := filepath.Join(t.TempDir(), uid+".html")
		if err := os.WriteFile(file, text, 0o600); err != nil {
			t.Fatal(err)
		}
		panels, width := measure(t, file)
		if width != pageWidth || len(panels) != len(d.Panels) {
			t.Fatalf("%s: the page has %d of %d panels, and %d pixels", uid, len(panels), len(d.Panels), width)
		}
		for i, p := range d.Panels {
			for _, problem := range panels[i].check(p) {
				t.Errorf("%s: %s: %s", uid, p.Title, problem)
			}
			for _, other := range panels[:i] {
				if panels[i].Box.overlaps(other.Box) {
					t.Errorf("%s: %s overlaps the panel %d", uid, p.Title, other.ID)
				}
			}
		}
		picture := takePicture(t, file, height)
		if size := picture.Bounds().Size(); size != image.Pt(pageWidth, height) {
			t.Fatalf("%s: the picture has %v pixels, want %d x %d", uid, size, pageWidth, height)
		}
		for _, p := range d.Panels {
			if p.Type != "row" && !painted(picture, p) {
				t.Errorf("%s: the picture of %s is empty", uid, p.Title)
			}
		}
		if uid == "mqttbridge-bridge" {
			checkDocumented(t, &d, picture)
		}
	}
}

// checkSelection fails the test unless the variables of a dashboard offer the selected values.
func (h *history) checkSelection(d *dashboard, selected map[string]string) {
	h.t.Helper()
	for _, v := range d.Templating.List {
		if v.Type != "query" || selected[v.Name] == ".*" {
			continue
		}
		found := labelValues.FindStringSubmatch(strings.ReplaceAll(string(v.Query), `\"`, `"`))
		if found == nil {
			h.t.Fatalf("%s: the variable %s has the query %s", d.UID, v.Name, v.Query)
		}
		query, _ := d.expand("count by ("+found[2]+") ("+found[1]+")", selected)
		offered := false
		for _, s := range h.instant(query, h.last()) {
			offered = offered || s.Metric.Get(found[2]) == selected[v.Name]
		}
		if !offered {
			h.t.Errorf("%s: the variable %s does not offer %s", d.UID, v.Name, selected[v.Name])
		}
	}
}

// overlaps reports whether two rectangles have a common area. Half a pixel is no area.
func (b box) overlaps(o box) bool {
	return min(b.X+b.W, o.X+o.W)-max(b.X, o.X) > 0.5 && min(b.Y+b.H, o.Y+o.H)-max(b.Y, o.Y) > 0.5
}

// contains reports whether a rectangle is in another one.
func (b box) contains(o box) bool {
	return o.X >= b.X-0.5 && o.Y >= b.Y-0.5 && o.X+o.W <= b.X+b.W+0.5 && o.Y+o.H <= b.Y+b.H+0.5
}

// check compares a panel on the page with the panel of the dashboard.
func (m *measuredPanel) check(p panel) (problems []string) {
	want := p.box()
	for _, difference := range []float64{m.Box.X - want.X, m.Box.Y - want.Y, m.Box.W - want.W, m.Box.H - want.H} {
		if math.Abs(difference) > 0.5 {
			problems = append(problems, "the panel is not at its place")
			break
		}
	}
	title, unit, legend := false, p.Type == "row" || p.Type == "state-timeline", p.Type != "timeseries"
	var labels []box
	for _, text := range m.Texts {
		visible := text.Box.W > 0 && text.Box.H > 0 && m.Box.contains(text.Box)
		switch {
		case text.Text == "No data":
			problems = append(problems, "the panel shows No data")
		case text.Kind == "li" && !visible: // the end of a long legend
			continue
		case !visible && text.Text != "":
			problems = append(problems, "the panel does not show "+text.Text)
		case text.Cut && text.Kind == "h2":
			problems = append(problems, "the title is too long")
		}
		title = title || text.Kind == "h2" && text.Text == p.Title
		unit = unit || text.Kind != "h2" && showsUnit(p.FieldConfig.Defaults.Unit, text.Text)
		legend = legend || text.Kind == "li" && text.Text != ""
		if text.Kind == "text" {
			if slices.ContainsFunc(labels, text.Box.overlaps) {
				problems = append(problems, text.Text+" covers another text")
			}
			labels = append(labels, text.Box)
		}
	}
	if !title || !unit || !legend {
		problems = append(problems, "the panel does not show its title, its unit or its legend")
	}
	return problems
}

// painted reports whether the picture has more than a plain area below the title of a panel.
func painted(picture *image.RGBA, p panel) bool {
	b, points := p.box(), 0
	for x := int(b.X) + 2; x < int(b.X+b.W)-2; x++ {
		for y := int(b.Y) + titleHeight; y < int(b.Y+b.H)-2; y++ {
			if c := picture.RGBAAt(x, y); c.R < 0xe0 || c.G < 0xe0 || c.B < 0xe0 {
				points++
			}
		}
	}
	return points > 50
}

// checkDocumented writes the picture of the documentation with -screenshot. Otherwise it checks that
// the documentation has a picture of the same size.
func checkDocumented(t *testing.T, d *dashboard, picture *image.RGBA) {
	t.Helper()
	end := slices.IndexFunc(d.Panels, func(p panel) bool { return p.Title == lastRow })
	if end < 0 {
		t.Fatalf("%s has no row %s", d.UID, lastRow)
	}
	part := picture.SubImage(image.Rect(0, 0, pageWidth, int(d.Panels[end].box().Y)))
	if *screenshot {
		var data bytes.Buffer
		encoder := png.Encoder{CompressionLevel: png.BestCompression}
		if err := encoder.Encode(&data, part); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(root, documented), data.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	config, err := png.DecodeConfig(bytes.NewReader(read(t, documented)))
	if size := part.Bounds().Size(); err != nil || config.Width != size.X || config.Height != size.Y {
		t.Errorf("%s has %d x %d pixels, want %v: %v; write it with go -C test/monitoring test -screenshot", documented, config.Width, config.Height, size, err)
	}
}

func TestMeasuredPanel_FaultsOfAPanel_AreFound(t *testing.T) {
	var p panel
	decode(t, `{"Type": "timeseries", "Title": "Age", "GridPos": {"X": 0, "Y": 0, "W": 12, "H": 8}, "FieldConfig": {"Defaults": {"Unit": "s"}}}`, &p)
	const (
		panelBox = `"Box": {"X": 8, "Y": 64, "W": 628, "H": 232}`
		titled   = `{"Kind": "h2", "Text": "Age", "Box": {"X": 9, "Y": 65, "W": 600, "H": 28}}`
		value    = `{"Kind": "text", "Text": "5 s", "Box": {"X": 20, "Y": 100, "W": 20, "H": 12}}`
		named    = `{"Kind": "li", "Text": "remote", "Box": {"X": 20, "Y": 270, "W": 60, "H": 16}}`
	)
	for name, tt := range map[string]struct{ panel, want string }{
		"complete":   {panelBox + `, "Texts": [` + titled + `,` + value + `,` + named + `]`, ""},
		"moved":      {`"Box": {"X": 8, "Y": 94, "W": 628, "H": 232}, "Texts": [` + named + `,` + value + `]`, "not at its place"},
		"no title":   {panelBox + `, "Texts": [` + value + `,` + named + `]`, "does not show its title"},
		"no unit":    {panelBox + `, "Texts": [` + titled + `,` + named + `]`, "does not show its title"},
		"no legend":  {panelBox + `, "Texts": [` + titled + `,` + value + `]`, "does not show its title"},
		"no data":    {panelBox + `, "Texts": [{"Kind": "p", "Text": "No data"}]`, "shows No data"},
		"covered":    {panelBox + `, "Texts": [` + titled + `,` + value + `,` + value + `,` + named + `]`, "covers another text"},
		"outside":    {panelBox + `, "Texts": [{"Kind": "text", "Text": "9 s", "Box": {"X": 630, "Y": 100, "W": 20, "H": 12}}]`, "does not show 9 s"},
		"cut title":  {panelBox + `, "Texts": [` + strings.Replace(titled, `"Box"`, `"Cut": true, "Box"`, 1) + `]`, "too long"},
		"other unit": {panelBox + `, "Texts": [` + titled + `,` + strings.Replace(value, "5 s", "5 B", 1) + `,` + named + `]`, "does not show its title"},
	} {
		var m measuredPanel
		decode(t, "{"+tt.panel+"}", &m)
		if found := strings.Join(m.check(p), "\n"); (found == "") != (tt.want == "") || !strings.Contains(found, tt.want) {
			t.Errorf("%s: the problems are %q, want %q", name, found, tt.want)
		}
	}
}
