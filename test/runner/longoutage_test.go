// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package runner

import (
	"flag"
	"testing"
	"time"

	"github.com/mqttbridge/mqttbridge-operator/test/mqtttest"
)

// diskOutage is how long all servers are down where a backlog goes to the disk. 0 is as
// in the other tests; 10m is what is promised of.
var diskOutage = flag.Duration("disk-outage", 0, "how long all servers are down in the test of a long outage with a buffer on disk")

// flatMemory is how much more memory a runner may have after an outage than a little
// after its beginning, in bytes, however long it was.
const flatMemory = 8 << 20

func TestALongOutageAndAKillInTheMiddleLoseNothingAndMemoryStaysFlat(t *testing.T) {
	t.Parallel()
	length := *diskOutage
	if length == 0 {
		length = outage()
	}
	l := newDiskLine(t)
	l.connect()
	l.stream(1, 1000)
	l.stopServers()
	began := time.Now()
	waitBacklog(t, l.runner, 3000)
	memory := func(when string) int64 {
		n := l.runner.ResidentBytes()
		t.Logf("%s %s: %d messages on the disk, %.1f MB of memory, %s of CPU", time.Since(began).Round(time.Second), when, backlog(l.runner), float64(n)/1e6, l.runner.CPU())
		return n
	}
	early := memory("after the beginning")
	sleepUntil(began.Add(length / 2))
	middle := memory("later, before the kill")
	l.runner.Kill()
	l.runner.Start()
	waitBacklog(t, l.runner, 500*int(length/2/time.Second)) // it is all there
	sleepUntil(began.Add(length))
	late := memory("later, before the servers are back")
	depth := backlog(l.runner)
	l.backup.Start()
	l.primary.Start()
	drain := time.Now()
	mqtttest.Eventually(t, length+wholly, "the backlog is delivered", func() error {
		return l.collector.WaitCount(depth, time.Second)
	})
	t.Logf("the backlog of %d messages was delivered within %s", depth, time.Since(drain).Round(time.Millisecond))
	drained := memory("later, when all is delivered")
	l.finish()
	for when, n := range map[string]int64{"before the kill": middle, "before the servers were back": late, "when all was delivered": drained} {
		if n > early+flatMemory {
			t.Errorf("the runner had %.1f MB %s, and %.1f MB at the beginning of the outage", float64(n)/1e6, when, float64(early)/1e6)
		}
	}
}

// sleepUntil waits for a time: the length of an outage is what is tested.
func sleepUntil(at time.Time) { time.Sleep(time.Until(at)) }
