// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"fmt"
	"os"
	"slices"
	"strings"
)

// Marks around the tables in the Markdown file.
const (
	beginMark = "<!-- begin: written by hack/bench -->\n"
	endMark   = "<!-- end: written by hack/bench -->\n"
)

// render writes the tables of a report into a Markdown file, between the marks.
func (r *report) render(file string) error {
	data, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	before, rest, begins := bytes.Cut(data, []byte(beginMark))
	_, after, ends := bytes.Cut(rest, []byte(endMark))
	if !begins || !ends {
		return fmt.Errorf("%s has no lines %q and %q for the tables", file, beginMark, endMark)
	}
	return os.WriteFile(file, slices.Concat(before, []byte(beginMark), []byte(r.markdown()), []byte(endMark), after), 0o644)
}

func (r *report) markdown() string {
	var b strings.Builder
	cases, rounds := perCase(r.Measurements)
	counts := make([]float64, len(cases)) // rounds of each case
	for i, c := range cases {
		counts[i] = float64(rounds[c][len(rounds[c])-1].Round)
	}
	fmt.Fprintf(&b, "\n%s, %s with %d processors and %d GB, %s, Linux %s; runner %s (%s), Mosquitto %s; %s rounds of %g s for each phase. ",
		r.Date[:len("2006-01-02")], r.Machine.CPU, r.Machine.Processors, r.Machine.MemoryBytes>>30, r.Machine.System, r.Machine.Kernel,
		r.Versions.Checkout, r.Versions.RunnerGo, r.Versions.Mosquitto, spreadOf(counts).text(0), r.PhaseSeconds)
	lost, duplicates := account(r.Measurements)
	fmt.Fprintf(&b, "Processors busy with other work: %s. Lost messages (%s/%s): %s; duplicates: %s.\n",
		spreadOf(each(r.Measurements, others)).text(1), runnerBridge, peerBridge, lost, duplicates)
	for _, tls := range []bool{false, true} {
		for _, protocol := range []string{"3.1.1", "5"} {
			group := slices.DeleteFunc(slices.Clone(cases), func(c benchCase) bool {
				return c.TLS != tls || c.Protocol != protocol || c.RoundTrip > 0
			})
			writeGroup(&b, fmt.Sprintf("MQTT %s, %s", protocol, security(tls)), group, rounds, runnerBridge)
		}
	}
	far := slices.DeleteFunc(slices.Clone(cases), func(c benchCase) bool { return c.RoundTrip == 0 })
	writeGroup(&b, fmt.Sprintf("Remote broker with a round trip of %d ms, window %d", farRoundTrip, farWindow), far, rounds, runnerBridge)
	plain := slices.DeleteFunc(slices.Clone(cases), func(c benchCase) bool { return !slices.Contains(c.bridges(), peerDefaults) })
	writeGroup(&b, "Mosquitto with default settings, compared with the peer", plain, rounds, peerDefaults)
	b.WriteByte('\n')
	return b.String()
}

// writeGroup writes a table of cases: the medians of a bridge and of the peer, and
// their ratio with its spread.
func writeGroup(b *strings.Builder, title string, cases []benchCase, rounds map[benchCase][]measurement, bridge string) {
	if len(cases) == 0 {
		return
	}
	fmt.Fprintf(b, "\n### %s\n\n|", title)
	for _, m := range metrics {
		fmt.Fprintf(b, " | %s", m.name)
	}
	fmt.Fprintf(b, " |\n|---%s|\n", strings.Repeat("|---", len(metrics)))
	for _, c := range cases {
		fmt.Fprintf(b, "| %s", c.inGroup())
		for _, m := range metrics {
			own, peer, ratio := compare(rounds[c], m, bridge)
			fmt.Fprintf(b, " | %s", cell(m, own, peer, ratio))
		}
		b.WriteString(" |\n")
	}
	for _, c := range cases {
		for _, e := range failuresOf(rounds[c]) {
			fmt.Fprintf(b, "\n%s: %s\n", c.inGroup(), e)
		}
	}
}

// inGroup returns the name of the case without protocol and security, which the title of its table
// states.
func (c benchCase) inGroup() string {
	label := fmt.Sprintf("QoS %d, %s", c.QoS, c.size())
	if c.RoundTrip > 0 {
		label += fmt.Sprintf(", %d ms", c.RoundTrip)
	}
	return label
}

func cell(m metric, own, peer, ratio spread) string {
	if own.median+peer.median == 0 {
		return ""
	}
	value := func(s spread) string {
		if s.median == 0 {
			return "-"
		}
		return fmt.Sprintf("%.*f", m.digits, s.median)
	}
	text := value(own) + " / " + value(peer)
	if ratio.median > 0 {
		text += fmt.Sprintf(" = **%.2f** (%.2f..%.2f)", ratio.median, ratio.least, ratio.most)
	}
	return text
}

// failuresOf returns each failure of a case once.
func failuresOf(rounds []measurement) []string {
	var failures []string
	for _, m := range rounds {
		if text := m.Bridge + ": " + m.Error; m.Error != "" && !slices.Contains(failures, text) {
			failures = append(failures, text)
		}
	}
	return failures
}

func each(all []measurement, of func(measurement) float64) []float64 {
	var values []float64
	for _, m := range all {
		if m.Saturated != nil {
			values = append(values, of(m))
		}
	}
	return values
}
