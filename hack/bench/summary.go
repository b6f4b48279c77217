// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"text/tabwriter"
)

// metric is a figure that the bench compares.
type metric struct {
	name   string
	of     func(measurement) float64
	digits int
	more   bool // higher is better
}

const mega = 1e6

func ofPhase(of func(measurement) *phase, value func(*phase) float64) func(measurement) float64 {
	return func(m measurement) float64 {
		if p := of(m); p != nil {
			return value(p)
		}
		return 0
	}
}

func latency(m measurement) *phase   { return m.Latency }
func fixedRate(m measurement) *phase { return m.FixedRate }
func saturated(m measurement) *phase { return m.Saturated }

// others returns the number of processors that other processes used in the saturated phase.
func others(m measurement) float64 { return m.Saturated.Others }

func rate(p *phase) float64 { return p.Rate }
func cpu(p *phase) float64  { return p.CPU }

var metrics = []metric{
	{"throughput, msg/s", ofPhase(saturated, rate), 0, true},
	{"CPU/msg saturated, us", ofPhase(saturated, cpu), 1, false},
	{"CPU/msg at a fixed rate, us", ofPhase(fixedRate, cpu), 1, false},
	{"latency p50, us", ofPhase(latency, func(p *phase) float64 { return p.P50 }), 0, false},
	{"latency p99, us", ofPhase(latency, func(p *phase) float64 { return p.P99 }), 0, false},
	{"memory idle, MB", func(m measurement) float64 { return float64(m.IdleMemory) / mega }, 1, false},
	{"memory peak, MB", func(m measurement) float64 { return float64(m.PeakMemory) / mega }, 1, false},
}

// spread is the minimum, the median and the maximum of several rounds.
type spread struct{ least, median, most float64 }

func spreadOf(values []float64) spread {
	if len(values) == 0 {
		return spread{}
	}
	slices.Sort(values)
	middle := len(values) / 2
	median := values[middle]
	if len(values)%2 == 0 {
		median = (values[middle-1] + values[middle]) / 2
	}
	return spread{values[0], median, values[len(values)-1]}
}

func (s spread) text(digits int) string {
	if s.most == 0 {
		return "-"
	}
	f := func(v float64) string { return strconv.FormatFloat(v, 'f', digits, 64) }
	return fmt.Sprintf("%s (%s..%s)", f(s.median), f(s.least), f(s.most))
}

// compare returns the values of a bridge and of the peer in one metric, and their ratio. The ratio
// is the ratio of the medians; its spread is the minimum and maximum of the ratios of single
// rounds, in which the two bridges were measured one after the other. Only rounds with a value for
// both bridges count.
func compare(rounds []measurement, m metric, bridge string) (own, peer, ratio spread) {
	values := map[string]map[int]float64{bridge: {}, peerBridge: {}} // by round
	for _, r := range rounds {
		if v := m.of(r); v > 0 && values[r.Bridge] != nil {
			values[r.Bridge][r.Round] = v
		}
	}
	var owns, peers, ratios []float64
	for round, v := range values[bridge] {
		if p := values[peerBridge][round]; p > 0 {
			owns, peers, ratios = append(owns, v), append(peers, p), append(ratios, v/p)
		}
	}
	if len(ratios) > 0 {
		ratio = spreadOf(ratios)
		ratio.median = spreadOf(owns).median / spreadOf(peers).median
	}
	of := func(bridge string) spread { return spreadOf(slices.Collect(maps.Values(values[bridge]))) }
	return of(bridge), of(peerBridge), ratio
}

// perCase returns the measurements of each case, in the order of the run.
func perCase(all []measurement) (cases []benchCase, rounds map[benchCase][]measurement) {
	rounds = map[benchCase][]measurement{}
	for _, m := range all {
		if _, known := rounds[m.Case]; !known {
			cases = append(cases, m.Case)
		}
		rounds[m.Case] = append(rounds[m.Case], m)
	}
	return cases, rounds
}

// writeTable writes the table for the terminal.
func writeTable(w io.Writer, all []measurement) error {
	cases, rounds := perCase(all)
	for _, c := range cases {
		_, _ = fmt.Fprintf(w, "\n%s\n", c)
		t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
		_, _ = fmt.Fprintf(t, "\t%s\t%s\tratio\t\n", runnerBridge, peerBridge)
		for _, m := range metrics {
			own, peer, ratio := compare(rounds[c], m, runnerBridge)
			if own.median+peer.median == 0 {
				continue
			}
			_, _ = fmt.Fprintf(t, "%s\t%s\t%s\t%s\t\n", m.name, own.text(m.digits), peer.text(m.digits), ratio.text(2))
		}
		if err := t.Flush(); err != nil {
			return err
		}
		lost, duplicates := account(rounds[c])
		_, _ = fmt.Fprintf(w, "  lost %s, duplicated %s; processors busy with other work %s\n", lost, duplicates, spreadOf(each(rounds[c], others)).text(1))
	}
	return nil
}

// account returns the numbers of messages that each bridge lost and duplicated.
func account(rounds []measurement) (lost, duplicates string) {
	for _, bridge := range []string{runnerBridge, peerBridge} {
		var l, d int64
		for _, m := range rounds {
			for _, p := range []*phase{m.Latency, m.FixedRate, m.Saturated} {
				if m.Bridge == bridge && p != nil {
					l, d = l+p.Lost, d+p.Duplicates
				}
			}
		}
		if lost != "" {
			lost, duplicates = lost+"/", duplicates+"/"
		}
		lost, duplicates = lost+strconv.FormatInt(l, 10), duplicates+strconv.FormatInt(d, 10)
	}
	return lost, duplicates
}
