// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"math"
	"os"
	"slices"
	"strings"
	"time"
)

// phase holds the measurements of one phase.
type phase struct {
	Rate       float64 `json:"messagesPerSecond"`
	CPU        float64 `json:"cpuMicrosecondsPerMessage"`
	LoadCPU    float64 `json:"loadCpuMicrosecondsPerMessage"` // of publishers, collector and line
	P50        float64 `json:"p50Microseconds,omitempty"`
	P99        float64 `json:"p99Microseconds,omitempty"`
	Sent       int64   `json:"sent"`
	Lost       int64   `json:"lost"`
	Duplicates int64   `json:"duplicates"`
	// Others is the number of processors that were busy with processes outside the bench.
	Others float64 `json:"otherProcessorsBusy"`
}

// measurement is the result of one bridge in one round of one case.
type measurement struct {
	Case   benchCase `json:"case"`
	Bridge string    `json:"bridge"`
	Round  int       `json:"round"`

	Latency    *phase `json:"latency,omitempty"`
	FixedRate  *phase `json:"fixedRate,omitempty"`
	Saturated  *phase `json:"saturated,omitempty"`
	IdleMemory int64  `json:"idleResidentBytes,omitempty"`
	PeakMemory int64  `json:"peakResidentBytes,omitempty"`
	Error      string `json:"error,omitempty"`
}

// subject describes how to start a bridge.
type subject struct {
	runner string   // the program
	env    []string // for the runner
}

const (
	readyWithin = 15 * time.Second
	// warmUp precedes each measurement: caches and windows fill, heaps grow.
	warmUp = 400 * time.Millisecond
)

// measure starts brokers, one bridge and the load, measures, and stops them.
func (s subject) measure(c benchCase, bridge string, length time.Duration) (m measurement, err error) {
	m = measurement{Case: c, Bridge: bridge}
	dir, err := os.MkdirTemp("", "bench")
	if err != nil {
		return m, err
	}
	var p *process
	defer func() {
		if err != nil {
			m.Error = strings.ReplaceAll(err.Error(), dir+"/", "") // reports contain no local path
		}
		if err != nil && p != nil { // the process has ended
			err = fmt.Errorf("%w\n%s", err, p.tail())
		}
		err = errors.Join(err, os.RemoveAll(dir))
	}()
	r := route{benchCase: c}
	if c.TLS {
		if r.tls, err = newKeyPair(dir); err != nil {
			return m, err
		}
	}
	local, err := startBroker("local", r, dir)
	if err != nil {
		return m, err
	}
	defer local.stop()
	remote, err := startBroker("remote", r, dir)
	if err != nil {
		return m, err
	}
	defer remote.stop()
	r.local, r.remote = local.bridge, remote.bridge
	if c.RoundTrip > 0 {
		far, err := startLine(remote.bridge, c.oneWay())
		if err != nil {
			return m, err
		}
		defer far.close()
		r.remote = far.address()
	}
	l, err := startLoad(local.load, remote.load, c.level(), c.QoS, c.Payload)
	if err != nil {
		return m, err
	}
	defer l.close()
	if p, err = s.start(r, bridge, dir); err != nil {
		return m, err
	}
	defer p.stop()
	if err := l.ready(readyWithin, p.alive); err != nil {
		return m, err
	}
	t := &trial{load: l, bridge: p, all: []*process{p, local.process, remote.process}, qos: c.QoS, length: length}
	err = t.run(c, &m)
	return m, err
}

func (s subject) start(r route, bridge, dir string) (*process, error) {
	switch bridge {
	case peerBridge:
		return startPeer(r, dir, false)
	case peerDefaults:
		return startPeer(r, dir, true)
	}
	return startRunner(r, dir, s.runner, s.env)
}

// trial is one connected bridge with its brokers and its load.
type trial struct {
	load   *load
	bridge *process
	all    []*process // bridge and brokers
	qos    byte
	length time.Duration // of the measurement in each phase
}

func (t *trial) run(c benchCase, m *measurement) (err error) {
	if m.IdleMemory, err = t.bridge.memory("VmRSS"); err != nil {
		return err
	}
	if c.RoundTrip == 0 {
		if m.Latency, err = t.paced(c.latencyRate()); err != nil {
			return fmt.Errorf("latency: %w", err)
		}
		if m.FixedRate, err = t.paced(c.cpuRate()); err != nil {
			return fmt.Errorf("fixed rate: %w", err)
		}
	}
	if m.Saturated, err = t.phase(t.load.begin(c.inTransit()), t.load.flood); err != nil {
		return fmt.Errorf("saturated: %w", err)
	}
	m.PeakMemory, err = t.bridge.memory("VmHWM")
	return err
}

func (t *trial) paced(rate int) (*phase, error) {
	s := t.load.begin(inTransitPaced)
	p, err := t.phase(s, func(s *stream, stop <-chan struct{}) int64 {
		return t.load.pace(s, rate, stop)
	})
	slices.Sort(s.latencies)
	p.P50, p.P99 = percentile(s.latencies, 50), percentile(s.latencies, 99)
	return p, err
}

// phase runs a sender, measures for the length of the trial, and waits until the remaining messages
// arrive.
func (t *trial) phase(s *stream, send func(*stream, <-chan struct{}) int64) (*phase, error) {
	stop, sent := make(chan struct{}), make(chan int64, 1)
	go func() { sent <- send(s, stop) }()
	time.Sleep(warmUp)
	s.measuring.Store(true)
	before, err := t.sample(s)
	if err == nil {
		time.Sleep(t.length)
	}
	s.measuring.Store(false)
	after, err2 := t.sample(s)
	close(stop)
	p := &phase{Sent: <-sent}
	lost, err3 := t.load.drain(s, p.Sent)
	t.load.current.Store(nil)
	if err := errors.Join(err, err2, err3, t.bridge.alive()); err != nil {
		return p, err
	}
	p.Lost, p.Duplicates = lost, s.duplicates.Load()
	messages, elapsed := float64(after.arrived-before.arrived), after.time-before.time
	switch {
	case t.qos > 0 && lost > 0:
		return p, fmt.Errorf("%d of %d QoS %d messages are lost: no message arrived for %s", lost, p.Sent, t.qos, drainWithin)
	case messages == 0:
		return p, errors.New("no message arrived during the measurement")
	}
	p.Rate = round(messages/elapsed.Seconds(), 1)
	p.CPU = round(float64((after.bridge-before.bridge).Microseconds())/messages, 2)
	p.LoadCPU = round(float64((after.load-before.load).Microseconds())/messages, 2)
	foreign := (after.machine - before.machine) - (after.own - before.own)
	p.Others = max(0, round(foreign.Seconds()/elapsed.Seconds(), 2))
	return p, nil
}

// percentile returns a percentile of sorted nanoseconds, in microseconds.
func percentile(sorted []int64, percent int) float64 {
	if len(sorted) == 0 {
		return 0
	}
	return round(float64(sorted[len(sorted)*percent/100])/1e3, 1)
}

// round rounds v to a number of decimal digits.
func round(v float64, digits int) float64 {
	unit := math.Pow10(digits)
	return math.Round(v*unit) / unit
}

// sample holds the counters at one instant.
type sample struct {
	time    time.Duration
	arrived int64
	bridge  time.Duration // CPU
	load    time.Duration // CPU of this process
	own     time.Duration // CPU of all processes of the bench
	machine time.Duration // CPU
}

func (t *trial) sample(s *stream) (v sample, err error) {
	v.time, v.arrived = time.Duration(now()), s.total()
	if v.bridge, err = t.bridge.cpu(); err != nil {
		return v, err
	}
	if v.load, err = cpuClock(os.Getpid()); err != nil {
		return v, err
	}
	v.own = v.load
	for _, p := range t.all {
		used, err := p.cpu()
		if err != nil {
			return v, err
		}
		v.own += used
	}
	v.machine, err = machineCPU()
	return v, err
}
