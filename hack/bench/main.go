// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

// Command bench compares the bridge-runner with a Mosquitto that bridges: with the same brokers and
// the same load, one after the other in each round.
//
// Four publishers send to a local broker, the bridge forwards the messages to a remote broker, and
// a collector there counts them and records when they arrive. Each bridge is measured with its own
// newly started brokers, in three phases: at a low rate for latency, at a fixed rate for the
// processor time of each message, and at the highest rate with a bounded number of messages in
// transit. The loss of a QoS 1 or 2 message is an error.
//
//	make bench            # every case; writes docs/performance.json and the tables in docs/performance.md
//	make bench QUICK=1    # three cases, to see the effect of a change
//	go run ./hack/bench -quick -runner bin/other -runner-env GOGC=200
//
// docs/performance.md explains the measurements and how to read them.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"time"
)

type options struct {
	runner string
	env    string
	only   string
	cases  string
	quick  bool
	rounds int
	length time.Duration
	out    string
	from   string
	render string
}

func main() {
	var o options
	flag.StringVar(&o.runner, "runner", "bin/bridge-runner", "the bridge-runner `program` to measure")
	flag.StringVar(&o.env, "runner-env", "", "environment variables for the runner: `NAME=VALUE,...`")
	flag.StringVar(&o.only, "only", "", "measure only this `bridge`: runner or mosquitto")
	flag.StringVar(&o.cases, "cases", "", "measure only the cases whose names, as in 'QoS 1, 128 B, 3.1.1, plain', match this `expression`")
	flag.BoolVar(&o.quick, "quick", false, "measure only QoS 0, 1 and 2 with 128 bytes, without TLS, MQTT 3.1.1")
	flag.IntVar(&o.rounds, "rounds", 3, "`number` of rounds in each case; without -quick, the cases with targets (128 bytes, without TLS) run three times as many")
	flag.DurationVar(&o.length, "length", 1200*time.Millisecond, "`duration` of the measurement in each phase")
	flag.StringVar(&o.out, "out", "", "write all figures to this JSON `file`")
	flag.StringVar(&o.render, "render", "", "write the tables into this Markdown `file`")
	flag.StringVar(&o.from, "from", "", "read the figures from this JSON `file` instead of measuring")
	flag.Parse()

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the bench at once
	if err := run(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, o options) error {
	var r *report
	var err, failures error
	if o.from != "" {
		r, err = readReport(o.from)
	} else {
		r, failures, err = measured(ctx, o)
	}
	if err != nil {
		return err
	}
	if err := writeTable(os.Stdout, r.Measurements); err != nil {
		return err
	}
	if o.out != "" {
		if err := r.write(o.out); err != nil {
			return err
		}
	}
	if o.render != "" {
		if err := r.render(o.render); err != nil {
			return err
		}
	}
	return failures
}

// measured runs the chosen cases and returns the measurements and the failures among them.
func measured(ctx context.Context, o options) (r *report, failures, err error) {
	cases, err := o.chosen()
	if err != nil {
		return nil, nil, err
	}
	if r, err = newReport(o); err != nil {
		return nil, nil, err
	}
	s := subject{runner: o.runner}
	if o.env != "" {
		s.env = strings.Split(o.env, ",")
	}
	r.Measurements, failures = s.measureAll(ctx, cases, o)
	return r, failures, ctx.Err()
}

func (o options) chosen() ([]benchCase, error) {
	cases := allCases()
	if o.quick {
		cases = quickCases()
	}
	pattern, err := regexp.Compile(o.cases)
	if err != nil {
		return nil, fmt.Errorf("-cases: %w", err)
	}
	cases = slices.DeleteFunc(cases, func(c benchCase) bool { return !pattern.MatchString(c.String()) })
	if len(cases) == 0 {
		return nil, fmt.Errorf("-cases: no case matches %q", o.cases)
	}
	return cases, nil
}

// roundsFor returns how many times each bridge is measured in a case. A case with a target has more
// rounds, because rounds differ by more than the target allows.
func (o options) roundsFor(c benchCase) int {
	if c.small() && !c.TLS && !o.quick {
		return targetRounds * o.rounds
	}
	return o.rounds
}

// measureAll runs the rounds of each case; in each round the bridges take turns. A failed bridge is
// an error and does not stop the others. A bridge that never forwards is skipped in the remaining
// rounds of the case.
func (s subject) measureAll(ctx context.Context, cases []benchCase, o options) (all []measurement, failures error) {
	for _, c := range cases {
		skip := map[string]bool{}
		for round := 1; round <= o.roundsFor(c); round++ {
			for _, bridge := range c.bridges() {
				if o.only != "" && bridge != o.only || o.quick && bridge == peerDefaults || skip[bridge] {
					continue
				}
				if ctx.Err() != nil {
					return all, failures
				}
				m, err := s.measure(c, bridge, o.length)
				m.Round = round
				if err != nil {
					failures = errors.Join(failures, fmt.Errorf("%s: %s, round %d: %w", c, bridge, round, err))
				}
				skip[bridge] = m.IdleMemory == 0
				all = append(all, m)
				fmt.Fprintf(os.Stderr, "%s: %s, round %d: %s\n", c, bridge, round, m)
			}
		}
	}
	return all, failures
}

// String returns a line of progress.
func (m measurement) String() string {
	if m.Error != "" {
		return m.Error
	}
	text := fmt.Sprintf("%.0f msg/s", m.Saturated.Rate)
	if m.FixedRate != nil {
		text += fmt.Sprintf(", %.1f us/msg", m.FixedRate.CPU)
	}
	return fmt.Sprintf("%s; load %.1f us/msg, %.1f processors busy with other work", text, m.Saturated.LoadCPU, m.Saturated.Others)
}
