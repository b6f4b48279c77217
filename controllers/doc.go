// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

// Package controllers brings about what an MQTTBridge asks for and tells in its
// status how it fares.
//
// A pass over one bridge reads, builds the wanted children by pure functions
// ([build]), applies and prunes them, derives the conditions from what is there
// ([derive]), writes the status at most once, and then sends the events that the
// write recorded. Every pass starts from nothing but what the API server holds, so
// a restarted or second operator goes on where another stopped.
//
// It promises:
//   - a pass that finds everything as wanted writes nothing;
//   - Ready is True only while the reporting pod runs and is ready and both sides
//     have a server;
//   - what others change in the fields that the operator sets is set back, and what
//     they set elsewhere is left alone;
//   - the report of a runner is cleared only when its pod is gone;
//   - an event follows the status that it tells of, and is sent at most once;
//   - the claim of a volume, which may hold messages, is never deleted;
//   - no Secret is ever read.
//
// It leaves the data path to the runner, which needs none of this to forward and to
// fail over, and the removal of children to the garbage collector, by owner
// references.
package controllers
