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
)

// BenchmarkDisk is the way of messages of 128 bytes at QoS 1 over the disk: into it,
// while the destination is down, out of it, and both at once, always with all
// acknowledgements. Beside it stands what the disk can do: fsyncs of 16 KiB a second.
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
		d.fill(b.N) // a backlog, so that nothing goes directly
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
	far          side
}

func newDiskBench(b *testing.B) *diskBench {
	b.Helper()
	rules, err := config.Rules([]v1alpha1.Rule{{Filter: "#"}})
	if err != nil {
		b.Fatal(err)
	}
	d := &diskBench{b: b, dir: b.TempDir()}
	var from, to current
	meter := report.NewMetrics().Meter(report.LocalToRemote, slog.New(slog.DiscardHandler))
	d.pipe = delivery.New(rules, meter, delivery.Options{
		Disk:  &delivery.Disk{Dir: filepath.Join(d.dir, "log"), Bytes: 16 << 30, WhenFull: v1alpha1.WhenFullBlock},
		Flush: from.flush,
	})
	back := delivery.New(nil, meter, delivery.Options{})
	ctx, cancel := context.WithCancel(context.Background())
	kept := make(chan struct{})
	go func() {
		d.pipe.RunSpool(ctx)
		close(kept)
	}()
	b.Cleanup(func() {
		cancel()
		<-kept
	})
	quiet := newNotifier(nil, slog.New(slog.DiscardHandler))
	near := side{out: d.pipe, in: back, mine: &from, other: &to, notifier: quiet}
	d.far = side{out: back, in: d.pipe, mine: &to, other: &from, notifier: quiet}
	d.source = newBenchServer(b, make(chan struct{}, 16*benchWindow))
	d.source.open(b, packet.V311, near)
	d.sink = newBenchServer(b, nil)
	return d
}

// fill publishes n messages and waits until they are acknowledged.
func (d *diskBench) fill(n int) {
	acknowledged := make(chan struct{})
	go d.source.acknowledged(packet.V311, 1, n, acknowledged)
	began := time.Now()
	d.source.publish(packet.V311, 1, n)
	<-acknowledged
	d.b.ReportMetric(float64(n)/time.Since(began).Seconds(), "msg/s")
	d.b.StopTimer()
	d.b.ReportMetric(d.fsyncs(), "fsync/s")
	d.b.StartTimer()
}

// drain brings the destination up. The channel is closed when n messages have arrived.
func (d *diskBench) drain(n int) <-chan struct{} {
	done, told := make(chan struct{}), make(chan struct{})
	s := d.sink.open(d.b, packet.V311, d.far)
	began := time.Now()
	go d.sink.take(1, n, done)
	go func() {
		<-done
		d.b.ReportMetric(float64(n)/time.Since(began).Seconds(), "msg/s")
		close(told)
	}()
	d.pipe.Up(s)
	return told
}

// fsyncs is how many writes of 16 KiB, each with an fsync, the disk does in a second.
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
