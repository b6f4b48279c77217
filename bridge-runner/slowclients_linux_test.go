// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/delivery"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/page"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/report"
	"github.com/mqttbridge/mqttbridge-operator/internal/manifest"
	"github.com/mqttbridge/mqttbridge-operator/test/mqtttest"
)

// largeProcess returns the endpoints of a process with many bridges, whose answers are larger than the buffers of a
// socket, and the meters of the bridges, by which they count messages.
func largeProcess(t *testing.T, bridges int) (*report.Endpoints, []delivery.Meter) {
	t.Helper()
	e := healthy()
	var meters []delivery.Meter
	var pages []page.Bridge
	for i := range bridges {
		m := manifestOf("plant", fmt.Sprintf("bridge-%d", i), "mqtt://r.example", "")
		rules, err := manifest.Rules(m.Spec.LocalToRemote)
		if err != nil {
			t.Fatal(err)
		}
		metrics := report.NewMetrics()
		state := report.NewState(m.MQTTBridge, report.Runner(), metrics)
		e.Metrics.AddBridge(m.Namespace, m.Name, metrics)
		meters = append(meters, metrics.Meter(report.LocalToRemote, rules, slog.New(slog.DiscardHandler)))
		status := state.Status()
		pages = append(pages, page.Bridge{Namespace: m.Namespace, Name: m.Name, Status: &status})
	}
	e.Status = func() any {
		out := make([]v1alpha1.MQTTBridgeStatus, 0, bridges)
		for i := range pages {
			out = append(out, *pages[i].Status.DeepCopy())
		}
		return out
	}
	e.Page = page.New(&page.Source{
		Many: func() []page.Bridge { return pages },
		Find: func(string, string) (page.Bridge, bool) { return pages[0], true },
	}).Register
	return e, meters
}

// A slowClient sends a request and reads its answer at one byte per second. It connects again when the server closes the
// connection.
func slowClient(ctx context.Context, address, request string) {
	for ctx.Err() == nil {
		dialer := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}} // not the address of the probes
		conn, err := dialer.DialContext(ctx, "tcp", address)
		if err == nil {
			_ = conn.(*net.TCPConn).SetReadBuffer(2048)
			_, err = io.WriteString(conn, request)
			for buf := make([]byte, 1); err == nil; {
				select {
				case <-time.After(time.Second):
					_ = conn.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
					if _, err = conn.Read(buf); isTimeout(err) {
						err = nil
					}
				case <-ctx.Done():
					err = ctx.Err()
				}
			}
			_ = conn.Close()
		}
		select {
		case <-time.After(500 * time.Millisecond):
		case <-ctx.Done():
		}
	}
}

func isTimeout(err error) bool {
	e, ok := err.(net.Error) //nolint:errorlint // as Read returns it
	return ok && e.Timeout()
}

// used returns the memory of the process.
func used() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

func TestServe_200SlowClients_ProbesScrapesAndMessagesContinue(t *testing.T) {
	const (
		clients = 200
		// kubelet is the default timeout of a probe.
		kubelet = time.Second
		// long is the time of the test, in which the first answers would still be written.
		long = 8 * time.Second
	)
	endpoints, meters := largeProcess(t, 150)
	address := mqtttest.FreeAddress(t)
	stop, err := serve(options{listen: address}, endpoints, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	before, goroutines := used(), runtime.NumGoroutine()
	ctx, end := context.WithCancel(t.Context())
	var all sync.WaitGroup
	for i := range clients {
		request := fmt.Sprintf("GET %s HTTP/1.1\r\nHost: x\r\n\r\n", []string{"/metrics", "/status", "/", "/metrics"}[i%4])
		if i%8 == 7 { // a part of a request
			request = request[:len(request)-4]
		}
		all.Go(func() { slowClient(ctx, address, request) })
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}} // as the kubelet does
	get := func(path string, timeout time.Duration) (size int64, err error) {
		bounded, cancel := context.WithTimeout(ctx, timeout)
		defer cancel()
		request, err := http.NewRequestWithContext(bounded, http.MethodGet, "http://"+address+path, http.NoBody)
		if err != nil {
			return 0, err
		}
		resp, err := client.Do(request)
		if err != nil {
			return 0, err
		}
		defer func() { _ = resp.Body.Close() }()
		if resp.StatusCode != http.StatusOK {
			return 0, fmt.Errorf("the status is %s", resp.Status)
		}
		return io.Copy(io.Discard, resp.Body)
	}
	all.Go(func() { // the data path counts each message
		for n := 0; ctx.Err() == nil; n++ {
			begin := time.Now()
			for _, m := range meters {
				m.Dropped(delivery.DropExpired)
			}
			if took := time.Since(begin); took > kubelet {
				t.Errorf("counting %d messages takes %s", len(meters), took)
			}
			time.Sleep(time.Millisecond)
		}
	})
	var largest int64
	for begin := time.Now(); time.Since(begin) < long; time.Sleep(50 * time.Millisecond) {
		for _, path := range []string{"/livez", "/readyz"} {
			if _, err := get(path, kubelet); err != nil {
				t.Errorf("%s after %s: %v", path, time.Since(begin).Round(time.Millisecond), err)
			}
		}
		for _, path := range []string{"/metrics", "/status", "/"} {
			if size, err := get(path, 10*time.Second); err != nil || size < 10_000 {
				t.Errorf("%s after %s: %d bytes, %v", path, time.Since(begin).Round(time.Millisecond), size, err)
			}
		}
		largest = max(largest, used()-before)
	}
	if limit := int64(64 << 20); largest > limit {
		t.Errorf("the answers to slow clients use %d MiB, want at most %d MiB", largest>>20, limit>>20)
	}
	t.Logf("%d MiB more; %d goroutines, %d before", largest>>20, runtime.NumGoroutine(), goroutines)
	end()
	all.Wait()
	stop()
}
