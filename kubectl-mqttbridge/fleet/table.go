// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package fleet

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"k8s.io/apimachinery/pkg/util/duration"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/internal/count"
	"github.com/mqttbridge/mqttbridge-operator/internal/printable"
)

// Style controls how a view is written.
type Style struct {
	// Now is the time from which ages are counted.
	Now time.Time
	// Namespaces adds the column with the namespaces.
	Namespaces bool
	// Wide adds columns.
	Wide bool
	// Color marks the states by colors of a terminal.
	Color bool
	// Width is the largest number of characters in a line, and Height of lines. 0 means no limit.
	Width, Height int
}

// none stands for a value that does not exist or is not known.
const none = "-"

// colors are the escape sequences for states.
var colors = map[State]string{NotReady: "\x1b[31m", Stalled: "\x1b[35m", Degraded: "\x1b[33m", Ready: "\x1b[32m"}

const noColor = "\x1b[0m"

// A table is rows of cells. The first row is the heading.
type table struct {
	indent string
	rows   [][]string
}

func (t *table) add(cells ...string) { t.rows = append(t.rows, cells) }

// droppable are the columns that a narrow terminal does without, the first ones first.
var droppable = []string{"LAST-SWITCH", "TO-LOCAL/S", "TO-REMOTE/S", "BACKLOG", "LOCAL"}

// roomForProblem is the width of the last column below which other columns are dropped.
const roomForProblem = 50

// fit drops columns until the last column has room. A width of 0 means no limit.
func (t *table) fit(width int) {
	for _, heading := range droppable {
		used := 0
		for _, w := range t.widths()[:len(t.rows[0])-1] {
			used += w + gap
		}
		column := slices.Index(t.rows[0], heading)
		if width == 0 || width-used >= roomForProblem || column < 0 {
			return
		}
		for i := range t.rows {
			t.rows[i] = slices.Delete(t.rows[i], column, column+1)
		}
	}
}

// gap is the number of spaces between two columns.
const gap = 3

// widths returns the widths of the columns.
func (t *table) widths() []int {
	widths := make([]int, len(t.rows[0]))
	for _, row := range t.rows {
		for i, cell := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	return widths
}

// write writes the table in columns. The last column is cut at the width of the style.
func (t *table) write(out io.Writer, style *Style) {
	widths := t.widths()
	for _, row := range t.rows {
		line := t.indent
		for i, cell := range row {
			if i < len(row)-1 {
				cell += strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell)+gap)
			}
			line += cell
		}
		_, _ = fmt.Fprintln(out, style.paint(cut(strings.TrimRight(line, " "), style.Width)))
	}
}

// paint colors the first state in a line.
func (s *Style) paint(line string) string {
	if !s.Color {
		return line
	}
	for _, word := range strings.Fields(line) {
		if color, ok := colors[State(word)]; ok {
			return strings.Replace(line, word, color+word+noColor, 1)
		}
	}
	return line
}

// cut shortens a text to a number of characters.
func cut(text string, width int) string {
	const mark = "..."
	if width <= len(mark) || utf8.RuneCountInString(text) <= width {
		return text
	}
	return string([]rune(text)[:width-len(mark)]) + mark
}

var breaks = strings.NewReplacer("\r\n", " ", "\n", " ", "\r", " ", "\t", " ")

// clean returns a text in one line, with escapes in place of characters that control a terminal. Servers write a part
// of the messages.
func clean(text string) string { return printable.Text(breaks.Replace(text)) }

// WriteTable writes a line for each bridge.
func (v *View) WriteTable(out io.Writer, style Style) {
	if len(v.Bridges) == 0 {
		_, _ = fmt.Fprintln(out, "There is no bridge.")
	}
	var t table
	t.add(heading(&style)...)
	shown := len(v.Bridges)
	if room := style.Height - len(v.Notes) - 3; style.Height > 0 && shown > room {
		shown = max(room, 1)
	}
	for i := range v.Bridges[:shown] {
		t.add(v.Bridges[i].row(&style)...)
	}
	if shown > 0 {
		t.fit(style.Width)
		t.write(out, &style)
	}
	if more := len(v.Bridges) - shown; more > 0 {
		_, _ = fmt.Fprintf(out, "and %s with less trouble\n", count.Of(more, "more bridge"))
	}
	for _, note := range v.Notes {
		_, _ = fmt.Fprintln(out, cut("note: "+clean(note), style.Width))
	}
}

func heading(style *Style) []string {
	var cells []string
	if style.Namespaces {
		cells = append(cells, "NAMESPACE")
	}
	cells = append(cells, "NAME", "STATE", "SINCE", "LOCAL", "REMOTE", "TO-REMOTE/S", "TO-LOCAL/S", "BACKLOG", "LAST-SWITCH")
	if style.Wide {
		cells = append(cells, "POD", "NODE", "STANDBY", "GENERATION", "VERSION")
	}
	return append(cells, "PROBLEM")
}

func (b *Bridge) row(style *Style) []string {
	var cells []string
	if style.Namespaces {
		cells = append(cells, b.Namespace)
	}
	cells = append(cells, b.Name, string(b.State), age(b.Since, style.Now), inUse(b.Local), inUse(b.Remote),
		rate(b.LocalToRemote), rate(b.RemoteToLocal), b.backlog(), b.lastSwitch(style))
	if style.Wide {
		cells = append(cells, b.wide()...)
	}
	problem := ""
	if b.Trouble() || b.State == Deleting || b.State == Reconciling {
		problem = b.problem(style.Wide)
		const narrow = 100
		if !style.Wide && style.Width == 0 {
			problem = cut(problem, narrow)
		}
	}
	return append(cells, problem)
}

func (b *Bridge) wide() []string {
	pod, node, standby, version := none, none, none, none
	for i := range b.Runners {
		switch r := &b.Runners[i]; r.Role {
		case v1alpha1.RunnerActive:
			pod, node, version = clean(r.Pod), orNone(r.Node), orNone(r.Version)
		case v1alpha1.RunnerStandby:
			standby = "not warm"
			if r.Warm != nil && *r.Warm {
				standby = "warm"
			}
		}
	}
	generation := fmt.Sprint(b.Generation)
	if b.RunningGeneration != b.Generation {
		generation = fmt.Sprintf("%d of %d", b.RunningGeneration, b.Generation)
	}
	return []string{pod, node, standby, generation, version}
}

func (b *Bridge) lastSwitch(style *Style) string {
	side, last := b.LastSwitch()
	if last == nil {
		return none
	}
	text := fmt.Sprintf("%s %s", age(&last.Time.Time, style.Now), side)
	if style.Wide {
		text += fmt.Sprintf(" %s>%s %s", clean(last.From), clean(last.To), clean(last.Reason))
	}
	return text
}

// backlog returns the number of messages in the buffer, or the state of the buffer on disk if the
// number is not known.
func (b *Bridge) backlog() string {
	if b.LocalToRemote != nil {
		messages := b.LocalToRemote.BacklogMessages + b.RemoteToLocal.BacklogMessages
		if messages == 0 {
			return "0"
		}
		oldest := max(b.LocalToRemote.BacklogSeconds, b.RemoteToLocal.BacklogSeconds)
		return fmt.Sprintf("%s (%s)", number(float64(messages)), human(oldest))
	}
	if b.Buffer == nil {
		return none
	}
	for _, s := range []*v1alpha1.BacklogStatus{b.Buffer.LocalToRemote, b.Buffer.RemoteToLocal} {
		if s != nil && s.State != v1alpha1.BacklogEmpty {
			return string(s.State)
		}
	}
	return string(v1alpha1.BacklogEmpty)
}

// inUse names the server in use.
func inUse(s *v1alpha1.SideStatus) string {
	active := s.ActiveServer()
	switch {
	case active == nil:
		return none
	case active.Role == v1alpha1.RoleBackup:
		return clean(active.Name) + " (backup)"
	}
	return clean(active.Name)
}

func rate(f *Flow) string {
	if f == nil || f.MessagesPerSecond == nil {
		return none
	}
	return number(*f.MessagesPerSecond)
}

// number returns a number with at most four digits.
func number(n float64) string {
	switch {
	case n >= 9.995e6:
		return fmt.Sprintf("%.0fM", n/1e6)
	case n >= 1e6:
		return fmt.Sprintf("%.1fM", n/1e6)
	case n >= 1e4:
		return fmt.Sprintf("%.0fk", n/1e3)
	case n >= 100 || n == float64(int64(n)):
		return fmt.Sprintf("%.0f", n)
	}
	return fmt.Sprintf("%.1f", n)
}

func human(seconds float64) string {
	return duration.HumanDuration(time.Duration(seconds * float64(time.Second)))
}

// age returns the time since t.
func age(t *time.Time, now time.Time) string {
	if t == nil || t.IsZero() {
		return none
	}
	return duration.HumanDuration(max(now.Sub(*t), 0))
}

func orNone(text string) string {
	if text == "" {
		return none
	}
	return clean(text)
}
