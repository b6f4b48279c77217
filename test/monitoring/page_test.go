// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package monitoring

import (
	"bytes"
	"fmt"
	"html/template"
	"testing"
)

// Sizes of the page in pixels. Grafana's grid has 24 columns, too; its rows have 38 pixels.
const (
	pageWidth    = 1280
	headerHeight = 64
	columnWidth  = 53
	rowHeight    = 30
	gap          = 8 // around a panel
	titleHeight  = 28
	legendHeight = 16 // of a line
)

// A box is a rectangle on the page, in pixels.
type box struct{ X, Y, W, H float64 }

// box returns the rectangle of a panel.
func (p panel) box() box {
	return box{
		X: float64(gap + p.GridPos.X*columnWidth), Y: float64(headerHeight + p.GridPos.Y*rowHeight),
		W: float64(p.GridPos.W*columnWidth - gap), H: float64(p.GridPos.H*rowHeight - gap),
	}
}

// A shownPanel is a panel with its data, as the template of the page needs it.
type shownPanel struct {
	panel
	Box     box
	Empty   bool
	Columns []string
	Rows    [][]string
	Number  string
	Color   string
	Drawing template.HTML
	Legend  []legendEntry
}

type legendEntry struct{ Name, Color string }

// The script stores the places and texts of all panels in the page, for the test. The page loads
// nothing from anywhere.
var pageTemplate = template.Must(template.New("page").Parse(`<!DOCTYPE html>
<html lang="en">
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'">
<title>{{.Title}}</title>
<style>
body { margin: 0; background: #f4f5f5; font: 12px sans-serif; color: #24292e; height: {{.Height}}px; position: relative; }
header { display: flex; align-items: center; gap: 14px; height: {{.HeaderHeight}}px; padding: 0 8px; box-sizing: border-box; }
h1 { font-size: 18px; margin: 0; }
header b { background: #fff; border: 1px solid #ccccdc; border-radius: 2px; padding: 5px 8px; font-weight: normal; }
header p { margin: 0 0 0 auto; text-align: right; color: #5c6570; }
section { position: absolute; box-sizing: border-box; background: #fff; border: 1px solid #dcdee2; border-radius: 2px; overflow: hidden; }
section.row { background: none; border: none; }
h2 { margin: 0; height: 28px; line-height: 28px; padding: 0 8px; font-size: 13px; font-weight: bold; white-space: nowrap; }
.row h2 { height: 22px; line-height: 22px; padding: 0; font-size: 15px; }
svg { display: block; }
svg line { stroke: #e4e6ea; stroke-width: 1; }
svg text { font: 11px sans-serif; fill: #24292e; }
ul { list-style: none; margin: 0; padding: 0 8px; overflow: hidden; }
li { float: left; height: 16px; line-height: 16px; margin-right: 14px; font-size: 11px; }
li i { display: inline-block; width: 14px; height: 4px; border-radius: 2px; margin: 0 5px 2px 0; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; padding: 5px 8px; border-bottom: 1px solid #e4e6ea; font-weight: normal; }
th { color: #3274d9; }
output, .none { display: block; text-align: center; font-size: 34px; line-height: 60px; }
.none { font-size: 14px; color: #5c6570; }
#measured { display: none; }
</style>
<body>
<header><h1>{{.Title}}</h1>{{range .Variables}}<b>{{.}}</b>{{end}}
<p>{{.From}} to {{.To}} UTC<br>Drawn by a test from recorded series. Grafana looks different.</p></header>
{{range .Panels}}<section class="{{.Type}}" data-id="{{.ID}}" style="left: {{.Box.X}}px; top: {{.Box.Y}}px; width: {{.Box.W}}px; height: {{.Box.H}}px">
<h2>{{.Title}}</h2>
{{if .Empty}}<p class="none">No data</p>
{{end}}{{if .Number}}<output style="color: {{.Color}}">{{.Number}}</output>
{{end}}{{if .Rows}}<table><tr>{{range .Columns}}<th>{{.}}</th>{{end}}</tr>{{range .Rows}}<tr>{{range .}}<td>{{.}}</td>{{end}}</tr>{{end}}</table>
{{end}}{{.Drawing}}
{{with .Legend}}<ul>{{range .}}<li><i style="background: {{.Color}}"></i>{{.Name}}</li>{{end}}</ul>
{{end}}</section>
{{end}}<pre id="measured"></pre>
<script>
const box = (e) => { const r = e.getBoundingClientRect(); return {X: r.x, Y: r.y, W: r.width, H: r.height}; };
const measured = [...document.querySelectorAll("section")].map((panel) => ({
  ID: Number(panel.dataset.id),
  Box: box(panel),
  Texts: [...panel.querySelectorAll("h2, text, th, td, li, output, .none")].map((e) => ({Kind: e.localName, Text: e.textContent, Box: box(e), Cut: e.scrollWidth > e.clientWidth})),
}));
document.getElementById("measured").textContent = JSON.stringify({Width: document.documentElement.scrollWidth, Panels: measured});
</script>
</html>
`))

// page is the data of the template.
type page struct {
	Title        string
	Variables    []string
	From, To     string
	HeaderHeight int
	Height       int
	Panels       []shownPanel
}

// render returns a page that shows a dashboard. faults are the faults of its panels.
func (h *history) render(d *dashboard, selected map[string]string) (text []byte, height int, faults []string) {
	h.t.Helper()
	content := page{Title: d.Title, From: h.start.UTC().Format("2006-01-02 15:04"), To: h.last().UTC().Format("15:04"), HeaderHeight: headerHeight}
	for _, v := range d.Templating.List {
		if value := selected[v.Name]; v.Type == "query" {
			if value == ".*" {
				value = "All"
			}
			content.Variables = append(content.Variables, v.Label+": "+value)
		}
	}
	for _, p := range d.Panels {
		r, problems := h.evaluate(d, p, selected)
		for _, problem := range problems {
			faults = append(faults, fmt.Sprintf("%s: %s", p.Title, problem))
		}
		content.Panels = append(content.Panels, h.show(p, &r))
		content.Height = max(content.Height, int(p.box().Y+p.box().H)+gap)
	}
	var out bytes.Buffer
	if err := pageTemplate.Execute(&out, content); err != nil {
		h.t.Fatal(err)
	}
	return out.Bytes(), content.Height, faults
}

// show draws a panel.
func (h *history) show(p panel, r *result) shownPanel {
	s := shownPanel{
		panel: p, Box: p.box(), Empty: p.Type != "row" && r.empty(),
		Columns: r.columns, Rows: r.rows, Number: r.number, Color: numberColors[r.color],
	}
	width, height := s.Box.W-2, s.Box.H-2-titleHeight
	switch {
	case s.Empty:
	case p.Type == "timeseries":
		lines := 1
		for i, used := 0, 0.0; i < len(r.curves); i++ {
			s.Legend = append(s.Legend, legendEntry{r.curves[i].name, colors[i%len(colors)]})
			entry := letter*float64(len(r.curves[i].name)) + 34
			if used += entry; used > width && i > 0 {
				lines, used = lines+1, entry
			}
		}
		// The rest of a long legend is hidden. Grafana scrolls it.
		s.Drawing = template.HTML(drawGraph(p, r, width, height-legendHeight*float64(min(lines, 4))-4, h.start, h.last()))
	case p.Type == "state-timeline":
		s.Drawing = template.HTML(drawTimeline(p, r, width, height, h.start, h.last()))
	}
	return s
}

// A series that does not exist has no picture, but a text that says so.
func TestRender_UnknownBridge_SaysNoData(t *testing.T) {
	h := newHistory(t)
	h.stay(scrapeInterval, healthy(t).targets()...)
	d := dashboards(t)["mqttbridge-bridge"]
	text, _, faults := h.render(&d, map[string]string{"namespace": "plant", "bridge": "unknown"})
	panels := 0
	for _, p := range d.Panels {
		if p.Type != "row" {
			panels++
		}
	}
	if shown := bytes.Count(text, []byte(">No data<")); shown != panels || len(faults) != panels {
		t.Errorf("%d of %d panels say that there is no data; the faults are %q", shown, panels, faults)
	}
}
