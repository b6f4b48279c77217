// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/mqttbridge/mqttbridge-operator/test/traffic"
)

const (
	// flowSeconds is the length of the stream before and after each change.
	flowSeconds = 3

	arrivalTimeout = time.Minute
	eventTimeout   = 10 * time.Second
)

// play kills the primary under load and starts it again.
func (s *stage) play(ctx context.Context) error {
	stopWatch, err := s.watch(ctx)
	if err != nil {
		return err
	}
	defer stopWatch()

	config := traffic.CollectorConfig{ClientID: "demo-collector", Filter: "plant1/sensors/#"}
	for _, b := range s.cloud {
		config.Sources = append(config.Sources, b.Source())
	}
	collector, err := traffic.StartCollector(ctx, config, arrivalTimeout)
	if err != nil {
		return err
	}
	defer collector.Close()

	say("sending %d messages a second at QoS 1 to the plant's broker", s.rate)
	publisher := traffic.StartPublisher(ctx, traffic.PublisherConfig{
		Dial: s.plant.Dial, ClientID: "demo-publisher", Topic: "sensors/line1/temperature", QoS: 1, Rate: s.rate, Size: 128,
	})
	defer publisher.Close()
	if err := s.flow(collector); err != nil {
		return err
	}

	say("killing the primary, cloud-1: scaling it to 0 and deleting its pod without a grace period")
	lost, err := s.cloud[0].Kill(ctx)
	if err != nil {
		return err
	}
	first, err := collector.WaitFrom(s.cloud[1].Name, lost, arrivalTimeout)
	if err != nil {
		return err
	}
	say("messages arrive through %s", s.cloud[1].Name)
	if err := s.showEvent(ctx, "FailedOver"); err != nil {
		return err
	}
	if err := s.flow(collector); err != nil {
		return err
	}

	say("starting cloud-1 again; the bridge returns to it when its probes have succeeded for 10 s")
	started := time.Now()
	if err := s.cloud[0].Start(ctx); err != nil {
		return err
	}
	if err := s.cloud[0].WaitReady(ctx, readyTimeout); err != nil {
		return err
	}
	back, err := collector.WaitFrom(s.cloud[0].Name, started, arrivalTimeout)
	if err != nil {
		return err
	}
	say("messages arrive through %s again", s.cloud[0].Name)
	if err := s.showEvent(ctx, "FailedBack"); err != nil {
		return err
	}
	if err := s.flow(collector); err != nil {
		return err
	}
	if err := publisher.StopAndDrain(arrivalTimeout); err != nil {
		return err
	}
	arrived := collector.WaitAll(publisher.Ledger(), arrivalTimeout)
	report := traffic.Compare(publisher.Ledger(), collector.Arrivals())
	summarise(report, pause(collector.Arrivals(), first.Time), pause(collector.Arrivals(), back.Time), s.rate)
	if arrived != nil || len(report.Lost) > 0 {
		return fmt.Errorf("%d messages are lost", len(report.Lost))
	}
	return nil
}

// flow waits until the stream has flowed for flowSeconds.
func (s *stage) flow(c *traffic.Collector) error {
	return c.WaitCount(c.Count()+flowSeconds*s.rate, arrivalTimeout)
}

// pause returns the longest time between two messages around a switch. It is the cost of the switch
// alone: it excludes the time that Kubernetes takes to delete the pod.
func pause(arrivals []traffic.Arrival, first time.Time) time.Duration {
	const around = time.Second
	arrivals = slices.DeleteFunc(arrivals, func(a traffic.Arrival) bool { return a.Time.Sub(first).Abs() > around })
	return traffic.Compare(traffic.Ledger{}, arrivals).LongestGap
}

func summarise(r traffic.Report, gap, gapBack time.Duration, rate int) {
	fmt.Println()
	for _, line := range []struct {
		name  string
		value any
		what  string
	}{
		{"gap", fmt.Sprintf("%d ms", gap.Milliseconds()), fmt.Sprintf("longest time between two messages around the failover; %d ms without a failover", 1000/rate)},
		{"gap back", fmt.Sprintf("%d ms", gapBack.Milliseconds()), "the same, around the failback"},
		{"sent", r.Sent, "messages, all acknowledged by the plant's broker"},
		{"arrived", r.Arrived, "at all brokers of the cloud"},
		{"lost", len(r.Lost), ""},
		{"duplicated", r.Duplicates, "the primary received them and ended before it acknowledged them; the failback causes none"},
	} {
		fmt.Printf("  %-12s %8v   %s\n", line.name, line.value, line.what)
	}
	fmt.Println()
}
