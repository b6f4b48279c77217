// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

// Package controllers reconciles MQTTBridge resources: it creates the objects that a
// bridge needs and reports the state of the bridge in its status.
//
// A pass over one bridge reads the bridge, builds the wanted children by pure functions
// ([build]), applies and prunes them, derives the conditions from the observed state
// ([derive]), writes the status at most once, and then sends the events that the write
// recorded. Every pass starts from the state that the API server holds, so that a restarted
// or second operator continues at the point that another one reached.
//
// It promises:
//   - a pass that finds everything as wanted writes nothing;
//   - Ready is True only while the reporting pod runs and is ready and both sides
//     have a server, and its observedGeneration is the generation that this pod runs;
//   - Reconciling or Stalled is present while the latest generation does not run;
//   - spec.suspend applies even if the rest of the spec is invalid or refused; but an operator
//     with a policy starts no pod of an earlier spec;
//   - if another client changes fields that the operator sets, the operator restores
//     them; it leaves all other fields alone. While a pod template waits for a roll-out,
//     the operator restores the template only with the roll-out;
//   - if the API server refuses a change of a running bridge, no child is changed, except
//     that spec.suspend applies;
//   - a new version of the operator replaces the pods of a limited number of bridges at
//     a time, and stops if they do not recover;
//   - the report of a runner is cleared only when its pod is gone or has ended;
//   - an event follows the status that it describes, and is sent at most once;
//   - a bridge sends at most 10 events at once, and then one every 30 seconds;
//   - the operator never deletes the claim of a volume, which may hold messages;
//   - no Secret is ever read.
//
// It leaves the data path to the runner, which forwards and fails over without the
// operator. It leaves the deletion of children to the garbage collector, by owner
// references.
package controllers
