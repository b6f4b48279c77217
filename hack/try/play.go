// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"time"

	"github.com/mqttbridge/mqttbridge-operator/test/traffic"
)

const (
	// payloadSize is the size of a message in bytes.
	payloadSize = 128

	// settleTime is the time after the first message from a server in which the end of a gap is recorded.
	settleTime = 100 * time.Millisecond
)

// gaps are the longest times between two messages around the changes.
type gaps struct{ failover, failback, outage, runner time.Duration }

// play starts everything, kills servers and the runner under load, and reports the result.
func (w *world) play(ctx context.Context, v *view) error {
	v.say("starting a local server (plant), three remote servers (cloud-1, cloud-2, cloud-3) and the runner")
	if err := w.startAll(ctx); err != nil {
		return err
	}
	v.print(w.introduction())
	v.say("sending %d messages a second at QoS 1 to plant; the bridge forwards them to the primary, cloud-1", w.rate)
	publisher := traffic.StartPublisher(context.WithoutCancel(ctx), traffic.PublisherConfig{
		Dial: traffic.TCP(w.plant.address), ClientID: "try-publisher", Stream: stream,
		Topic: "sensors/line1/temperature", QoS: 1, Rate: w.rate, Size: payloadSize,
	})
	w.publisher.Store(publisher)

	var g gaps
	for _, part := range []func(context.Context, *view, *gaps) error{w.losePrimary, w.returnToPrimary, w.loseAll, w.loseRunner} {
		if err := pause(ctx, w.flow()); err != nil {
			return err
		}
		if err := part(ctx, v, &g); err != nil {
			return err
		}
	}
	if err := pause(ctx, w.flow()); err != nil {
		return err
	}
	if w.keep {
		if err := w.untilInterrupted(ctx, v); err != nil {
			return err
		}
		ctx = context.WithoutCancel(ctx)
	}
	return w.finish(ctx, v, g)
}

// introduction shows the manifest and the commands to try.
func (w *world) introduction() string {
	return fmt.Sprintf(`
  The manifest of the bridge is %s
  The log of the runner is      %s
  The page of the bridge is     %s
  The runner applies changes of the manifest while it runs. Try these commands in another terminal:

    curl --silent %s
    curl --silent %s | grep mqttbridge_messages

`, w.manifest, w.runnerLog(), w.state.url("/"), w.state.url("/status"), w.state.url("/metrics"))
}

func (w *world) losePrimary(ctx context.Context, v *view, g *gaps) (err error) {
	v.say("killing the primary, cloud-1, with SIGKILL")
	killed := w.cloud[0].current().kill()
	if g.failover, err = w.waitGap(ctx, w.cloud[1].name, killed, killed); err != nil {
		return err
	}
	v.say("messages arrive through the first backup, cloud-2; gap %s", milliseconds(g.failover))
	return nil
}

func (w *world) returnToPrimary(ctx context.Context, v *view, g *gaps) (err error) {
	v.say("starting cloud-1 again; the bridge returns to it when its probes have succeeded for %d s", w.stableSeconds())
	started := time.Now()
	if err := w.cloud[0].run(); err != nil {
		return err
	}
	if g.failback, err = w.waitGap(ctx, w.cloud[0].name, started, time.Time{}); err != nil {
		return err
	}
	v.say("messages arrive through cloud-1 again; gap %s", milliseconds(g.failback))
	return nil
}

func (w *world) loseAll(ctx context.Context, v *view, g *gaps) (err error) {
	v.say("killing all remote servers; plant keeps the messages that the bridge has not acknowledged")
	killed := time.Now()
	for _, s := range w.cloud {
		s.current().kill()
	}
	if err := pause(ctx, w.downTime()); err != nil {
		return err
	}
	v.say("starting the remote servers again")
	started := time.Now()
	for _, s := range w.cloud {
		if err := s.run(); err != nil {
			return err
		}
	}
	if g.outage, err = w.waitGap(ctx, "", started, killed); err != nil {
		return err
	}
	v.say("messages arrive again, first the messages that have waited; gap %s", milliseconds(g.outage))
	return nil
}

func (w *world) loseRunner(ctx context.Context, v *view, g *gaps) (err error) {
	v.say("killing the runner; plant keeps the messages in the session of the bridge")
	killed := w.runner.current().kill()
	if err := pause(ctx, w.downTime()); err != nil {
		return err
	}
	v.say("starting the runner again")
	started := time.Now()
	if err := w.runner.run(); err != nil {
		return err
	}
	if g.runner, err = w.waitGap(ctx, "", started, killed); err != nil {
		return err
	}
	v.say("messages arrive again, first the messages that have waited; gap %s", milliseconds(g.runner))
	return nil
}

// waitGap waits until messages arrive at a server after a time, and returns the longest gap since from,
// or, if from is zero, in the second before the first of these messages.
// An empty name stands for all servers.
func (w *world) waitGap(ctx context.Context, server string, after, from time.Time) (time.Duration, error) {
	first, err := w.arrivals.waitFrom(ctx, server, after)
	if err != nil {
		return 0, fmt.Errorf("%w; the log of the runner ends with:\n%s", err, logEnd(w.runnerLog()))
	}
	if err := pause(ctx, settleTime); err != nil {
		return 0, err
	}
	if around := first.Time.Add(-time.Second); from.IsZero() {
		from = around
	}
	return w.arrivals.longestGap(from, first.Time.Add(settleTime)), nil
}

// finish waits until all messages have arrived, and reports the result.
func (w *world) finish(ctx context.Context, v *view, g gaps) error {
	publisher := w.publisher.Load()
	if err := publisher.StopAndDrain(waitTimeout); err != nil {
		return err
	}
	late := w.arrivals.waitAll(ctx, publisher.Ledger())
	report := traffic.Compare(publisher.Ledger(), w.arrivals.list())
	v.close()
	v.print(summary(report, g, w.rate))
	return verdict(report, late)
}

// verdict returns an error if a message is lost.
func verdict(r traffic.Report, late error) error {
	if len(r.Lost) == 0 {
		return late
	}
	return fmt.Errorf("%d of %d messages are lost, the first one has the number %d", len(r.Lost), r.Acknowledged, r.Lost[0])
}
