// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package outages

import (
	"fmt"
	"testing"
	"time"

	"k8s.io/utils/ptr"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
)

// places is larger than the number of faults.
const places = 1 << 16

// length returns the length of a scenario. With -full it is the full length.
func length(bounded, whole time.Duration) time.Duration {
	if *full {
		return whole
	}
	return bounded
}

// scenario runs a test for both directions of messages.
func scenario(t *testing.T, run func(w *world)) {
	b := startBench(t)
	for i, d := range []direction{toward, from} {
		t.Run(words(remote, d), func(t *testing.T) {
			t.Parallel()
			run(&world{TB: t, side: remote, direction: d, version: both[i], settings: short, stable: 2, bench: b})
		})
	}
}

// Users of Mosquitto's bridge report that it leaves a healthy backup for a primary that is not
// available: mosquitto#3293.
func TestBlackHoledPrimary_BackupActive_KeepsConnectionToBackup(t *testing.T) {
	t.Parallel()
	scenario(t, func(w *world) {
		w.need(true, "primary black-holed while on the backup")
		w.build(false)
		gate := startSieve(w, w.backup.Address()) // counts connections
		w.servers[1].URL = gate.URL()
		w.connect()
		w.stream(0, 1, 2)
		began := time.Now()
		block(w, w.link.port, dropTo, dropFrom)
		for _, s := range w.streams {
			must(w, s.switched(began, eventTimeout))
		}
		serving, connections, since := w.waitActive("backup-1", eventTimeout), gate.Accepted(), time.Now()

		time.Sleep(length(20*time.Second, 10*time.Minute)) // no event can be awaited: the test shows that nothing happens

		end := time.Now()
		after := w.waitActive("backup-1", eventTimeout)
		if !after.Active.Since.Equal(&serving.Active.Since) {
			w.Errorf("the backup is active since %s, want since %s", after.Active.Since, serving.Active.Since)
		}
		if n := gate.Accepted() - connections; n > 0 {
			w.Errorf("the bridge connected to the backup %d more times", n)
		}
		if lost := w.notices("backup-1"); len(lost) > 0 {
			w.Errorf("the backup was lost %d times: %s", len(lost), lost[0].line)
		}
		reports := w.settle(began, func(w *world) { unblock(w, w.link.port, dropTo, dropFrom) }, false)
		for i, s := range w.streams {
			gap := w.gap(s, since, end)
			if gap.own > margin {
				w.Errorf("QoS %d: no message arrived for %s while the backup was active", s.qos, gap)
			}
			w.note("primary black-holed while on the backup", s, ptr.Deref(after.Switches, 0), end.Sub(since), gap, reports[i])
		}
	})
}

// flap is the time for which a flapping primary is available, and then unavailable.
const flap = 3 * time.Second

// maxSwitches is the largest number of switches that a flapping primary may cause.
const maxSwitches = 5

func TestFlappingPrimary_UnderLoad_CausesFewSwitches(t *testing.T) {
	t.Parallel()
	scenario(t, func(w *world) {
		w.build(false)
		w.connect()
		w.stream(0, 1, 2)
		began := time.Now()
		for time.Since(began) < length(24*time.Second, 5*time.Minute) {
			w.link.enable(false)
			time.Sleep(flap) // the duration of the fault
			w.link.enable(true)
			time.Sleep(flap)
		}
		w.link.enable(false)
		w.waitActive("backup-1", eventTimeout)
		end := time.Now()
		status, err := w.runner.Status()
		must(w, err)
		switches := ptr.Deref(w.of(status).Switches, 0)
		if switches < 1 || switches > maxSwitches {
			w.Errorf("the bridge switched %d times, want 1 to %d", switches, maxSwitches)
		}
		reports := w.settle(began, func(w *world) { w.link.enable(true) }, false)
		for i, s := range w.streams {
			gap := w.gap(s, began, end)
			if gap.own > margin {
				w.Errorf("QoS %d: no message arrived for %s, although one server was always available", s.qos, gap)
			}
			w.note("primary flaps every 3 s", s, switches, end.Sub(began), gap, reports[i])
		}
	})
}

// note adds a scenario to the table.
func (w *world) note(name string, s *stream, switches int64, lasted time.Duration, gap took, a account) {
	results.add(result{
		place: places, fault: fmt.Sprintf("%s, for %s: switches %d", name, lasted.Round(time.Second), switches), version: string(w.version),
		side: w.side, direction: words(w.side, w.direction), qos: fmt.Sprint(s.qos), reason: w.noticed("primary").reason, gap: gap, lost: a.lost, twice: a.twice,
	})
}

// Other bridges fail at attempts that end immediately with an error: mosquitto#2410.
func TestThirdServer_FirstTwoFail_IsReachedInOneRound(t *testing.T) {
	t.Parallel()
	b := startBench(t)
	for i := range connecting {
		for j := range connecting {
			first, second := &connecting[i], &connecting[j]
			if i == j || !*full && j != other(i) {
				continue
			}
			t.Run(fmt.Sprintf("%s, %s", first.name, second.name), func(t *testing.T) {
				t.Parallel()
				w := &world{TB: t, side: remote, direction: toward, version: both[i%2], settings: short, bench: b}
				w.need(first.isolated || second.isolated, first.name+"; "+second.name)
				w.third(first, second)
			})
		}
	}
}

func TestThirdServer_FirstLostAndSecondFails_IsReachedInOneRound(t *testing.T) {
	t.Parallel()
	b := startBench(t)
	for i, f := range established {
		for j := range connecting {
			if !*full && j != other(i) {
				continue
			}
			two := f
			two.next = &connecting[j]
			two.isolated = f.isolated || two.next.isolated
			two.name += "; " + two.next.name
			runFault(t, b, &two, places+1, row{v1alpha1.ProtocolVersion5, []byte{1, 2}}, remote, toward)
		}
	}
}

// other returns the index of another fault.
func other(place int) int { return (place + 5) % len(connecting) }

// third starts a bridge whose first two servers fail.
func (w *world) third(failing ...*fault) {
	w.Helper()
	w.build(false, failing[0].connecting, failing[1].connecting)
	w.servers = w.servers[1:]
	w.prepare()
	began := time.Now()
	w.runner.Start()
	within := failing[0].toward.of(w.settings) + failing[1].toward.of(w.settings)
	status := w.waitActive("backup-2", within+eventTimeout)
	// Times in the status are in whole seconds, rounded down.
	took := w.took(began, status.Active.Since.Time)
	if took.own > within+margin {
		w.Errorf("the third server was connected after %s, want within %s + %s", took, within, margin)
	}
	metrics := w.runner.Metrics()
	reason := ""
	for i, name := range []string{"primary", "backup-1"} {
		if n := metrics.Sum("mqttbridge_connection_failures_total", "side=remote", "server="+name); n != 1 {
			w.Errorf("%s had %v failed attempts, want 1", name, n)
		}
		want := failing[i].toward.reasons[0]
		if got := status.Servers[i].LastError; got == nil || got.Reason != want || status.Servers[i].State != v1alpha1.ServerFailed {
			w.Errorf("%s: %+v, want %s", name, got, want)
		}
		reason += want + " "
	}
	results.add(result{
		place: places + 2, fault: failing[0].name + "; " + failing[1].name, version: string(w.version), side: w.side,
		direction: "-", qos: "-", reason: reason, bound: within, noticed: w.took(began, w.noticed("backup-1").at),
	})
}
