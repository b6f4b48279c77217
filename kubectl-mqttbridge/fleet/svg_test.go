// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package fleet

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"
)

// picture is the picture of the fleet view in the documentation.
var picture = filepath.Join("..", "..", "docs", "images", "kubectl-mqttbridge-status.svg")

// The picture shows the output of the command in a terminal, with its colors.
func TestView_OnATerminal_IsThePictureOfTheDocumentation(t *testing.T) {
	const width = 185
	var out bytes.Buffer
	exampleView().WriteTable(&out, Style{Now: now, Namespaces: true, Color: true, Width: width})
	svg := terminal("kubectl mqttbridge status -A", out.String(), width)
	if err := xml.NewDecoder(strings.NewReader(svg)).Decode(new(struct{ XMLName xml.Name })); err != nil && !errors.Is(err, io.EOF) {
		t.Fatalf("the picture is no XML: %v", err)
	}
	golden(t, picture, svg)
}

// svgColors are the colors of the escape sequences of package fleet.
var svgColors = map[string]string{"31": "#ff6b6b", "32": "#7bd88f", "33": "#ffd866", "35": "#d2a6ff"}

var colored = regexp.MustCompile("\x1b\\[(\\d+)m(.*?)\x1b\\[0m")

// terminal draws a command and its output as a terminal shows them.
func terminal(command, output string, columns int) string {
	const charWidth, lineHeight, margin, bar = 8.4, 19, 16, 34
	lines := append([]string{"$ " + command}, strings.Split(strings.TrimSuffix(output, "\n"), "\n")...)
	width, height := float64(columns)*charWidth+2*margin, len(lines)*lineHeight+2*margin+bar
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" width="%.0f" height="%d" viewBox="0 0 %.0f %d" role="img" aria-label="%s">`+"\n", width, height, width, height, command)
	fmt.Fprintf(&b, `<rect width="100%%" height="100%%" rx="8" fill="#1e1f29"/>`+"\n")
	for i, color := range []string{"#ff5f56", "#ffbd2e", "#27c93f"} {
		fmt.Fprintf(&b, `<circle cx="%d" cy="18" r="6" fill="%s"/>`+"\n", 20+20*i, color)
	}
	fmt.Fprintf(&b, `<g font-family="ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', monospace" font-size="14" fill="#e6e6e6">`+"\n")
	for i, line := range lines {
		y := bar + margin + i*lineHeight
		plain := colored.ReplaceAllString(line, "$2")
		fmt.Fprintf(&b, `<text x="%d" y="%d" textLength="%.1f">%s</text>`+"\n", margin, y, float64(utf8.RuneCountInString(plain))*charWidth, spans(line))
	}
	b.WriteString("</g>\n</svg>\n")
	return b.String()
}

// spans returns a line with its colors.
func spans(line string) string {
	var b strings.Builder
	for {
		at := colored.FindStringSubmatchIndex(line)
		if at == nil {
			return b.String() + escape(line)
		}
		fmt.Fprintf(&b, `%s<tspan fill="%s">%s</tspan>`, escape(line[:at[0]]), svgColors[line[at[2]:at[3]]], escape(line[at[4]:at[5]]))
		line = line[at[1]:]
	}
}

func escape(text string) string {
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(text))                 // a strings.Builder accepts all writes
	return strings.ReplaceAll(b.String(), " ", "\u00a0") // browsers join other spaces
}
