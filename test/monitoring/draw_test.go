// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package monitoring

import (
	"cmp"
	"fmt"
	"html"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/prometheus/promql"
)

// colors has the colors of curves, in the order of use.
var colors = []string{"#56a64b", "#3274d9", "#e0b400", "#e02f44", "#8f3bb8", "#ff780a", "#37a1b5", "#705da0"}

// namedColors are the colors that the dashboards name.
var namedColors = map[string]string{"green": "#56a64b", "red": "#e02f44", "text": "#c7cbd1"}

// numberColors has the same colors for text.
var numberColors = map[string]string{"green": "#56a64b", "red": "#e02f44", "text": "#24292e"}

// Sizes in pixels.
const (
	axisWidth  = 66 // of the values of a time series
	axisHeight = 20
	topMargin  = 8
	letter     = 6.5 // the width of a letter, at most about
)

// A drawing is a picture of a panel, as SVG.
type drawing struct {
	strings.Builder
	width, height float64
	left          float64 // of the plot
	from, to      int64   // the time range, in milliseconds
}

func newDrawing(width, height, left float64, from, to time.Time) *drawing {
	d := &drawing{width: width, height: height, left: left, from: from.UnixMilli(), to: to.UnixMilli()}
	d.add(`<svg width="%.0f" height="%.0f" viewBox="0 0 %.0f %.0f">`, width, height, width, height)
	return d
}

func (d *drawing) add(format string, values ...any) { _, _ = fmt.Fprintf(d, format, values...) }

// text adds a text. anchor is start, middle or end.
func (d *drawing) text(x, y float64, anchor, text string) {
	d.add(`<text x="%.1f" y="%.1f" text-anchor="%s">%s</text>`, x, y, anchor, html.EscapeString(text))
}

// x returns the position of a time.
func (d *drawing) x(at int64) float64 {
	return d.left + (d.width-d.left-topMargin)*float64(at-d.from)/float64(d.to-d.from)
}

// bottom returns the position of the axis of time.
func (d *drawing) bottom() float64 { return d.height - axisHeight }

// timeAxis adds the times, every 5 minutes.
func (d *drawing) timeAxis() {
	const every = 5 * 60 * 1000
	for at := (d.from/every + 1) * every; at < d.to; at += every {
		d.add(`<line x1="%[1]g" x2="%[1]g" y1="%g" y2="%g"/>`, d.x(at), float64(topMargin), d.bottom())
		if label := time.UnixMilli(at).UTC().Format("15:04"); d.x(at)-d.left > 20 && d.width-d.x(at) > 25 {
			d.text(d.x(at), d.height-5, "middle", label)
		}
	}
}

// drawGraph returns the picture of a time series.
func drawGraph(p panel, r *result, width, height float64, from, to time.Time) string {
	d := newDrawing(width, height, axisWidth, from, to)
	highest := 0.0
	for _, c := range r.curves {
		highest = max(highest, slices.MaxFunc(c.points, func(a, b promql.FPoint) int { return cmp.Compare(a.F, b.F) }).F)
	}
	values := ticks(p.FieldConfig.Defaults.Unit, highest)
	top := values[len(values)-1]
	y := func(value float64) float64 { return d.bottom() - (d.bottom()-topMargin)*max(0, value)/top }
	for _, value := range values {
		d.add(`<line x1="%g" x2="%g" y1="%[3]g" y2="%[3]g"/>`, d.left, d.width-topMargin, y(value))
		d.text(d.left-6, y(value)+4, "end", formatValue(p.FieldConfig.Defaults.Unit, value))
	}
	d.timeAxis()
	for i, c := range r.curves {
		color := colors[i%len(colors)]
		for _, part := range connected(c.points) {
			var line strings.Builder
			for _, point := range part {
				_, _ = fmt.Fprintf(&line, "%.1f,%.1f ", d.x(point.T), y(point.F))
			}
			first, last := d.x(part[0].T), d.x(part[len(part)-1].T)
			d.add(`<polygon points="%.1[1]f,%.1[2]f %[3]s%.1[4]f,%.1[2]f" fill="%[5]s" fill-opacity="0.1"/>`, first, d.bottom(), line.String(), last, color)
			d.add(`<polyline points="%s" fill="none" stroke="%s" stroke-width="1.5"/>`, line.String(), color)
			if len(part) == 1 {
				d.add(`<circle cx="%.1f" cy="%.1f" r="1.5" fill="%s"/>`, first, y(part[0].F), color)
			}
		}
	}
	d.add("</svg>")
	return d.String()
}

// connected splits points if one is missing between them. Grafana does not connect them.
func connected(points []promql.FPoint) (parts [][]promql.FPoint) {
	for i, point := range points {
		if i == 0 || point.T-points[i-1].T > scrapeInterval.Milliseconds() {
			parts = append(parts, nil)
		}
		parts[len(parts)-1] = append(parts[len(parts)-1], point)
	}
	return parts
}

// drawTimeline returns the picture of the states of series.
func drawTimeline(p panel, r *result, width, height float64, from, to time.Time) string {
	longest := 0
	for _, c := range r.curves {
		longest = max(longest, len(c.name))
	}
	d := newDrawing(width, height, letter*float64(longest)+12, from, to)
	d.timeAxis()
	row := (d.bottom() - topMargin) / float64(len(r.curves))
	for i, c := range r.curves {
		top := topMargin + row*float64(i)
		middle := top + row/2 + 4
		d.text(d.left-6, middle, "end", c.name)
		for _, part := range connected(c.points) {
			for _, state := range equal(part) {
				end := min(state[len(state)-1].T+scrapeInterval.Milliseconds(), d.to)
				left, right := d.x(state[0].T), d.x(end)
				text, color, _ := p.state(state[0].F)
				d.add(`<rect x="%.1f" y="%.1f" width="%.1f" height="%.1f" fill="%s" fill-opacity="0.7"/>`, left, top+row*0.05, right-left, row*0.9, namedColors[color])
				if right-left > letter*float64(len(text))+4 {
					d.text((left+right)/2, middle, "middle", text)
				}
			}
		}
	}
	d.add("</svg>")
	return d.String()
}

// equal splits points into parts of equal values.
func equal(points []promql.FPoint) (parts [][]promql.FPoint) {
	last := math.NaN()
	for _, point := range points {
		if point.F != last {
			parts, last = append(parts, nil), point.F
		}
		parts[len(parts)-1] = append(parts[len(parts)-1], point)
	}
	return parts
}
