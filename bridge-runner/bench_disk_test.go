// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/config"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/delivery"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/packet"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/report"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/session"
	"github.com/mqttbridge/mqttbridge-operator/internal/manifest"
)

// BenchmarkDisk sends messages of 128 bytes at QoS 1 through the buffer on disk: writing
// them while the destination is down ("in"), reading them back ("out"), and both at once
// ("through"), with all acknowledgements. For comparison it reports the speed of the disk:
// the number of writes of 16 KiB, each with an fsync, per second.
//
//	go test -run '^$' -bench Disk -benchtime 200000x ./bridge-runner
func BenchmarkDisk(b *testing.B) {
	b.Run("in", func(b *testing.B) {
		d := newDiskBench(b)
		b.ResetTimer()
		d.fill(b.N)
	})
	b.Run("out", func(b *testing.B) {
		d := newDiskBench(b)
		d.fill(b.N)
		b.ResetTimer()
		<-d.drain(b.N)
	})
	b.Run("through", func(b *testing.B) {
		d := newDiskBench(b)
		d.fill(b.N) // a backlog, so that no message bypasses the disk
		b.ResetTimer()
		drained := d.drain(2 * b.N)
		d.fill(b.N)
		<-drained
	})
}

type diskBench struct {
	b            *testing.B
	dir          string
	pipe         *delivery.Pipe
	source, sink *benchServer
	far          side // the side of sink
}

func newDiskBench(b *testing.B) *diskBench {
	b.Helper()
	rules, err := manifest.Rules([]v1alpha1.Rule{{Filter: "#"}})
	if err != nil {
		b.Fatal(err)
	}
	d := &diskBench{b: b, dir: b.TempDir()}
	var (
		from, to sideSessions
		flusher  session.Flusher
		echoes   echoDetectors
	)
	meter := report.NewMetrics().Meter(report.LocalToRemote, rules, slog.New(slog.DiscardHandler))
	d.pipe = delivery.New(rules, meter, delivery.Options{
		Disk:  &delivery.Disk{Dir: filepath.Join(d.dir, "log"), Bytes: 16 << 30, WhenFull: v1alpha1.WhenFullBlock},
		Flush: flusher.Flush,
	})
	back := delivery.New(nil, meter, delivery.Options{})
	ctx, cancel := context.WithCancel(context.Background())
	spoolDone := make(chan struct{})
	go func() {
		d.pipe.RunSpool(ctx)
		close(spoolDone)
	}()
	b.Cleanup(func() {
		cancel()
		<-spoolDone
	})
	quiet := newNotifier(config.Notifications{}, &flusher, slog.New(slog.DiscardHandler))
	near := side{out: d.pipe, in: back, sessions: &from, flusher: &flusher, notifier: quiet, echoes: &echoes.local, otherEchoes: &echoes.remote}
	d.far = side{out: back, in: d.pipe, sessions: &to, flusher: &flusher, notifier: quiet, echoes: &echoes.remote, otherEchoes: &echoes.local}
	d.source = newBenchServer(b, make(chan struct{}, 16*benchWindow))
	d.source.open(b, packet.V311, near)
	d.sink = newBenchServer(b, nil)
	return d
}

// fill publishes n messages and waits until they are acknowledged.
func (d *diskBench) fill(n int) {
	acknowledged := make(chan struct{})
	go d.source.readAcks(packet.V311, 1, n, acknowledged)
	began := time.Now()
	d.source.publish(packet.V311, 1, n)
	<-acknowledged
	d.b.ReportMetric(float64(n)/time.Since(began).Seconds(), "msg/s")
	d.b.StopTimer()
	d.b.ReportMetric(d.fsyncs(), "fsync/s")
	d.b.StartTimer()
}

// drain connects the destination. The returned channel is closed when n messages have
// arrived and the rate is reported.
func (d *diskBench) drain(n int) <-chan struct{} {
	done, reported := make(chan struct{}), make(chan struct{})
	s := d.sink.open(d.b, packet.V311, d.far)
	began := time.Now()
	go d.sink.receive(1, n, done)
	go func() {
		<-done
		d.b.ReportMetric(float64(n)/time.Since(began).Seconds(), "msg/s")
		close(reported)
	}()
	d.pipe.Up(s)
	return reported
}

// fsyncs measures the number of writes of 16 KiB, each with an fsync, that the disk
// completes per second.
func (d *diskBench) fsyncs() float64 {
	f, err := os.Create(filepath.Join(d.dir, "fsync"))
	if err != nil {
		d.b.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	block := make([]byte, 16<<10)
	n, began := 0, time.Now()
	for ; time.Since(began) < 500*time.Millisecond; n++ {
		if _, err := f.Write(block); err != nil {
			d.b.Fatal(err)
		}
		if err := f.Sync(); err != nil {
			d.b.Fatal(err)
		}
	}
	return float64(n) / time.Since(began).Seconds()
}
