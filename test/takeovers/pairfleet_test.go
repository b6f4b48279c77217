// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package takeovers

import (
	"fmt"
	"testing"
	"time"

	"github.com/eclipse/paho.golang/paho"

	"github.com/mqttbridge/mqttbridge-operator/test/mqtttest"
	"github.com/mqttbridge/mqttbridge-operator/test/traffic"
)

// fleetWorst is the limit of the gap of each of many bridges whose process is killed.
const fleetWorst = 2 * time.Second

// pairFleet is a fleet in two runners.
type pairFleet struct {
	*fleet
	// probes record one message for each bridge, direction and repetition, and read is the number of arrivals that
	// lastProbe has seen.
	probes      [2]*traffic.Collector
	read        [2]int
	repetitions uint64
}

func TestTakeover_ProcessWithManyBridgesKilled_AllBridgesContinue(t *testing.T) {
	f := newPairFleet(t)
	f.repeat(event{
		name: fmt.Sprintf("%d bridges in one process: it is killed (SIGKILL)", len(f.all)), limit: fleetWorst, mayRepeat: true,
		act: f.kill, after: (*world).startStandby,
	})
}

func newPairFleet(t *testing.T) *pairFleet {
	t.Helper()
	f := &pairFleet{fleet: newFleet(t)}
	f.pair = mqtttest.NewHostPair(t, f.all)
	f.pair.Start()
	f.runner = f.pair.Runners[0]
	f.waitConnected(f.runner, len(f.all))
	f.probes = [2]*traffic.Collector{
		up:   mqtttest.StartCollector(t, "+/"+topicUp+"/probe", "", f.remotes[0]),
		down: mqtttest.StartCollector(t, "+/"+topicDown+"/probe", "", f.local),
	}
	f.startSamples()
	return f
}

// kill kills the active runner, and then publishes one message for each bridge and direction. The time
// until the last one arrives is an upper bound of the gap of each bridge. Half of the bridges get messages of
// QoS 2, before which they release packet identifiers of the killed process.
func (f *pairFleet) kill(w *world) {
	w.Helper()
	killed := f.runner.Kill()
	w.changeRoles()
	f.repetitions++
	for i, b := range f.all {
		qos := byte(1 + i/2%2) // each MQTT version, which alternates, has both
		payload := traffic.Message{Stream: b.Name, Seq: f.repetitions, Sent: time.Now()}.Encode(0)
		f.near.Send(&paho.Publish{Topic: b.Name + "/" + topicUp + "/probe", QoS: qos, Payload: payload})
		f.far.Send(&paho.Publish{Topic: b.Name + "/" + topicDown + "/probe", QoS: qos, Payload: payload})
	}
	for d := range f.probes {
		gap := f.lastProbe(d).Sub(killed)
		w.Logf("%s: the last of %d bridges has forwarded after %s", []string{topicUp, topicDown}[d], len(f.all), gap)
		w.measured = max(w.measured, gap)
	}
}

// lastProbe waits for the messages of a repetition in a direction, and returns the time of the last first arrival.
func (f *pairFleet) lastProbe(direction int) (last time.Time) {
	f.Helper()
	seen := map[string]bool{}
	mqtttest.Eventually(f, eventTimeout, "every bridge forwards", func() error {
		arrivals := f.probes[direction].ArrivalsFrom(f.read[direction]) // all of them would need much of a processor
		f.read[direction] += len(arrivals)
		for _, a := range arrivals {
			if a.Seq == f.repetitions && !seen[a.Stream] {
				seen[a.Stream], last = true, a.Time
			}
		}
		if len(seen) < len(f.all) {
			return fmt.Errorf("%d of %d bridges", len(seen), len(f.all))
		}
		return nil
	})
	return last
}
