// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package conformance

import (
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/test/conformance/peer"
)

// eachVersion runs a test with both MQTT versions.
func eachVersion(t *testing.T, test func(t *testing.T, version v1alpha1.ProtocolVersion)) {
	for _, version := range versions {
		t.Run("MQTT "+string(version), func(t *testing.T) {
			t.Parallel()
			test(t, version)
		})
	}
}

// onRemote applies a change to the settings of remote servers only.
func onRemote(change func(c *peer.Config)) func(c *peer.Config) {
	return func(c *peer.Config) {
		if c.Name != "local" {
			change(c)
		}
	}
}

// stale creates QoS 2 messages of an earlier process in the remote server's session.
func (w *world) stale(ids ...uint16) {
	var held []peer.Packet
	for _, id := range ids {
		held = append(held, peer.Packet{ID: id, Topic: "up/earlier", Payload: fmt.Sprintf("earlier %d 0 ", id)})
	}
	w.remotes[0].Preload(bridgeID, held...)
}

// publishStale starts the runner, forwards the given number of messages, and checks that the remote
// server holds no QoS 2 message afterwards.
func (w *world) publishStale(messages int) {
	w.Helper()
	w.start()
	if !w.connected(w.remotes[0]) {
		return
	}
	s := w.stream(w.local, "up2", 2)
	for range messages {
		w.publish(s, 0)
	}
	if w.arrived(s) && w.remotes[0].Held(bridgeID) > 0 {
		w.Errorf("the server still holds %d QoS 2 messages", w.remotes[0].Held(bridgeID))
	}
}

// A new process releases the packet identifiers that the server may hold. If the connection ends
// before the server has read all PUBRELs, the process releases them again before it publishes.
func TestStaleQoS2_ReleaseCutOff_IsRepeatedBeforePublishing(t *testing.T) {
	t.Parallel()
	for _, at := range []int{1, 2, 7} {
		t.Run(fmt.Sprintf("at PUBREL %d", at), func(t *testing.T) {
			eachVersion(t, func(t *testing.T, version v1alpha1.ProtocolVersion) {
				var cut atomic.Bool
				w := newWorld(t, settings{version: version, remotes: 1, window: 10, ackTimeout: 5, server: onRemote(func(c *peer.Config) {
					c.Plan = func(int, *peer.Connect) peer.Plan {
						releases := 0
						return peer.Plan{Cut: func(p *peer.Packet, fromClient bool) *peer.Cut {
							if p.Type != peer.PUBREL || !fromClient || cut.Load() {
								return nil
							}
							releases++
							if releases < at {
								return nil
							}
							cut.Store(true)
							return &peer.Cut{When: peer.BeforeReading, Reset: true}
						}}
					}
				})})
				w.stale(1, 2, 9)
				w.publishStale(20)
				if !cut.Load() {
					t.Error("the bridge did not release any identifier")
				}
			})
		})
	}
}

// The QoS that a server grants for a subscription does not limit the QoS that it accepts.
func TestStaleQoS2_SubackBelow2_StillReleases(t *testing.T) {
	t.Parallel()
	eachVersion(t, func(t *testing.T, version v1alpha1.ProtocolVersion) {
		w := newWorld(t, settings{version: version, remotes: 1, window: 10, ackTimeout: 5, server: onRemote(func(c *peer.Config) {
			c.Plan = func(int, *peer.Connect) peer.Plan {
				return peer.Plan{Limits: peer.Limits{LowGrant: true, GrantedQoS: 1}}
			}
		})})
		w.stale(1, 3)
		w.publishStale(20)
	})
}

// The server's receive maximum may differ between connections. The bridge releases all identifiers
// that an earlier process may have used, independent of the current maximum.
func TestStaleQoS2_ReceiveMaximumGrows_ReleasesAllIdentifiers(t *testing.T) {
	t.Parallel()
	var reached atomic.Bool
	w := newWorld(t, settings{version: v1alpha1.ProtocolVersion5, remotes: 1, window: 100, ackTimeout: 5, server: onRemote(func(c *peer.Config) {
		published := 0
		c.Plan = func(n int, _ *peer.Connect) peer.Plan {
			if n > 1 {
				reached.Store(true)
				return peer.Plan{Limits: peer.Limits{ReceiveMaximum: 10}}
			}
			return peer.Plan{Limits: peer.Limits{ReceiveMaximum: 1}, Cut: func(p *peer.Packet, fromClient bool) *peer.Cut {
				if p.Type == peer.PUBLISH && fromClient {
					published++
				}
				if published < 3 {
					return nil
				}
				return &peer.Cut{When: peer.AfterAnswer}
			}}
		}
	})})
	w.stale(1, 17, 20, 100, 161)
	w.publishStale(400)
	if !reached.Load() {
		t.Error("the bridge did not connect a second time")
	}
}
