// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

// Command bench measures the bridge-runner beside a Mosquitto that bridges: the
// same brokers, the same load, one after the other in each round.
//
// Four publishers send to a local broker, the bridge carries the messages to a
// remote broker, and a collector there counts them and tells when they came. Each
// bridge is measured with brokers of its own, started afresh, in three phases: at a
// low rate for latency, at a fixed one for the processor time of each message, and
// as fast as it goes with a bounded number of messages on their way. A QoS 1 or 2
// message that is lost is an error.
//
//	make bench            # every case; writes docs/performance.json and the table in docs/performance.md
//	make bench QUICK=1    # three cases, to see what a change does
//	go run ./hack/bench -quick -runner bin/other -runner-env GOGC=200
//
// docs/performance.md says what is measured and how to read it.
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
	flag.StringVar(&o.only, "only", "", "measure this `bridge` only: runner or mosquitto")
	flag.StringVar(&o.cases, "cases", "", "measure only the cases whose names, as in 'QoS 1, 128 B, 3.1.1, plain', match this `expression`")
	flag.BoolVar(&o.quick, "quick", false, "QoS 0, 1 and 2 with 128 bytes, plain, 3.1.1, in 3 rounds")
	flag.IntVar(&o.rounds, "rounds", 3, "how `often` each bridge is measured in each case; without -quick three times as often with 128 bytes, plain, where the targets are")
	flag.DurationVar(&o.length, "length", 1200*time.Millisecond, "how `long` each phase is measured")
	flag.StringVar(&o.out, "out", "", "write all figures to this JSON `file`")
	flag.StringVar(&o.render, "render", "", "write the tables into this Markdown `file`")
	flag.StringVar(&o.from, "from", "", "measure nothing and take the figures from this JSON `file`")
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

// measured returns what was measured, and which of it failed.
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

// roundsOf is how often each bridge is measured in a case: more where there is a target
// to meet, because rounds differ by more than what is allowed.
func (o options) roundsOf(c benchCase) int {
	if c.small() && !c.TLS && !o.quick {
		return targetRounds * o.rounds
	}
	return o.rounds
}

// measureAll goes through the rounds of each case, in which the bridges take turns.
// A bridge that fails is an error, and the others go on. One that does not even begin
// to forward is not tried again in that case.
func (s subject) measureAll(ctx context.Context, cases []benchCase, o options) (all []measurement, failures error) {
	for _, c := range cases {
		out := map[string]bool{}
		for round := 1; round <= o.roundsOf(c); round++ {
			for _, bridge := range c.bridges() {
				if o.only != "" && bridge != o.only || o.quick && bridge == asItComes || out[bridge] {
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
				out[bridge] = m.IdleMemory == 0
				all = append(all, m)
				fmt.Fprintf(os.Stderr, "%s: %s, round %d: %s\n", c, bridge, round, m)
			}
		}
	}
	return all, failures
}

// String is a line of progress.
func (m measurement) String() string {
	if m.Error != "" {
		return m.Error
	}
	text := fmt.Sprintf("%.0f msg/s", m.Saturated.Rate)
	if m.FixedRate != nil {
		text += fmt.Sprintf(", %.1f us/msg", m.FixedRate.CPU)
	}
	return fmt.Sprintf("%s; load %.1f us/msg, %.1f other processors busy", text, m.Saturated.LoadCPU, m.Saturated.Others)
}
