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
	// before and after a change the stream flows for so many seconds.
	flowSeconds = 3

	arrivalTimeout = time.Minute
	eventTimeout   = 10 * time.Second
)

// play takes the primary away under load and brings it back.
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

	say("taking the primary, cloud-1, away: scaled to 0, its pod deleted without grace")
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

	say("bringing cloud-1 back; the bridge goes back to it when it has passed its probes for 10 s")
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
		return fmt.Errorf("%d messages were lost", len(report.Lost))
	}
	return nil
}

// flow waits until the stream has flowed for a while.
func (s *stage) flow(c *traffic.Collector) error {
	return c.WaitCount(c.Count()+flowSeconds*s.rate, arrivalTimeout)
}

// pause is the longest time between two messages around the switch, which is what
// it cost: the order to delete a pod takes Kubernetes a while to carry out.
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
		{"gap", fmt.Sprintf("%d ms", gap.Milliseconds()), fmt.Sprintf("the longest time between two messages around the switch; %d ms without one", 1000/rate)},
		{"gap back", fmt.Sprintf("%d ms", gapBack.Milliseconds()), "likewise, around the failback"},
		{"sent", r.Sent, "messages, all acknowledged by the plant's broker"},
		{"arrived", r.Arrived, "at the cloud's brokers together"},
		{"lost", len(r.Lost), ""},
		{"duplicated", r.Duplicates, "taken by the primary, which died before it said so; none by the failback"},
	} {
		fmt.Printf("  %-12s %8v   %s\n", line.name, line.value, line.what)
	}
	fmt.Println()
}
