// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package mqtttest

import "slices"

// JoinGroup makes a runner, which does not run yet, a member of a group with a Lease. env are further
// environment variables.
func (r *Runner) JoinGroup(group, pod, leaseDuration string, env ...string) {
	r.t.Helper()
	r.name += "-" + pod
	r.args = append(r.args, "--kubernetes", "--group", group, "--group-listen", FreeAddress(r.t), "--lease-duration", leaseDuration)
	r.env = append(slices.Clone(env), "POD_NAME="+pod, "NODE_NAME=node-of-"+pod, "POD_IP=127.0.0.1")
}
