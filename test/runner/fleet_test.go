// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package runner

import (
	"flag"
	"fmt"
	"testing"
	"time"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/test/mqtttest"
)

var fleetSize = flag.Int("bridges", 100, "the number of bridges of the test of a host with many bridges")

// The limits of a host, per bridge that has no work. The test prints the measured values.
const (
	maxBytesPerBridge  = 140 << 10
	processBytes       = 40 << 20              // the part that does not depend on the number of bridges
	maxIdlePerBridge   = 40 * time.Microsecond // processor time per second
	processIdle        = 20 * time.Millisecond // the same for the process
	maxScrapePerBridge = 4 * time.Millisecond
	fleetIdleTime      = 10 * time.Second
	// goroutinesPerBridge are the readers and the connectors of both sides, the bridge itself, and
	// a part of the short tasks.
	goroutinesPerBridge = 6
	processGoroutines   = 30
)

// TestHost_ManyBridges_NeedsLittlePerBridge measures a host with idle bridges:
//
//	go test ./test/runner -run ManyBridges -bridges 1000 -v
func TestHost_ManyBridges_NeedsLittlePerBridge(t *testing.T) {
	n := *fleetSize
	local := mqtttest.StartBroker(t, mqtttest.BrokerOptions{Name: "local"})
	remote := mqtttest.StartBroker(t, mqtttest.BrokerOptions{Name: "remote"})
	h := mqtttest.NewHost(t)
	for i := range n {
		b := manifest(fmt.Sprintf("b%05d", i), local.URL(), remote.URL())
		b.Spec.LocalToRemote = []v1alpha1.Rule{{Filter: b.Name + "/#"}}
		h.Put(downToo(b))
	}
	began := time.Now()
	h.Start()
	mqtttest.Eventually(t, 2*time.Minute, "all sides are connected", func() error {
		files, err := h.Files()
		if err != nil {
			return err
		}
		up := 0
		for _, f := range files {
			if s := f.Status; s != nil && s.Local.Active != nil && s.Remote.Active != nil {
				up++
			}
		}
		if up < n {
			return fmt.Errorf("%d of %d", up, n)
		}
		return nil
	})
	t.Logf("%d bridges were connected after %v", n, time.Since(began).Round(time.Millisecond))

	time.Sleep(fleetIdleTime) // the time that is measured begins after the end of the start
	used := h.CPU()
	time.Sleep(fleetIdleTime)
	idle := (h.CPU() - used) / time.Duration(fleetIdleTime.Seconds())
	memory := h.ResidentBytes() // before the first scrape
	began = time.Now()
	metrics := h.Metrics()
	samples, goroutines := len(metrics), int(metrics.Sum("go_goroutines"))
	scrape := time.Since(began)
	began = time.Now()
	if _, err := h.Files(); err != nil {
		t.Fatal(err)
	}
	status := time.Since(began)
	t.Logf("memory %d MB, after a scrape %d MB; %d goroutines; idle %v of processor time per second, /metrics %v with %d samples, /status %v",
		memory>>20, h.ResidentBytes()>>20, goroutines, idle, scrape.Round(time.Millisecond), samples, status.Round(time.Millisecond))
	if limit := int64(processBytes + n*maxBytesPerBridge); memory > limit {
		t.Errorf("the process has %d bytes, more than %d", memory, limit)
	}
	if limit := processIdle + time.Duration(n)*maxIdlePerBridge; idle > limit {
		t.Errorf("the idle process uses %v of processor time per second, more than %v", idle, limit)
	}
	if limit := processGoroutines + n*goroutinesPerBridge; goroutines > limit {
		t.Errorf("the process has %d goroutines, more than %d", goroutines, limit)
	}
	if limit := time.Second + time.Duration(n)*maxScrapePerBridge; scrape > limit {
		t.Errorf("/metrics takes %v, more than %v", scrape, limit)
	}
	began = time.Now()
	if code, took := h.Terminate(); code != 0 {
		t.Errorf("exit code %d after %v", code, took)
	}
	t.Logf("the process ended after %v", time.Since(began).Round(time.Millisecond))
}
