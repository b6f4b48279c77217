// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

// Messages of conditions, events and errors. Each says what is and, where someone
// has to act, what to do.
const (
	msgSuspended = "the bridge is suspended; set spec.suspend to false to resume it"

	msgNoPod         = "no runner pod exists; Deployment %s makes one"
	msgPodDeleting   = "runner pod %s is being deleted"
	msgPodNotRunning = "runner pod %s is %s"
	msgPodNotReady   = "runner pod %s is not ready; if its node is lost, it is replaced elsewhere"
	msgPodNoReport   = "runner pod %s has not reported yet; if this lasts, look at its log"

	msgOnPrimary = "both sides are on their primary server"
	msgOnBackup  = "the %s side is on %s (%s), not on its primary server"
	msgLoop      = "messages go round through bridges between the same servers: %s; change a filter or topic, exclude the other's topics in one of them, or set protocolVersion: '5' and delivery.maxHops in all of them"
	msgShortfall = "the %s side, %s: %s" // server; the runner says the rest
	msgBuffer    = "%s: %s"              // of which rules; the runner says the rest

	msgUnforwardable = "%s: no server takes a message of %d bytes to %s: %s: %s" // of which rules; the runner says the rest

	msgApplied      = "the children were changed and are being rolled out"
	msgRollingOut   = "Deployment %s is being rolled out"
	msgDraining     = "the runner is draining before the bridge is suspended"
	msgUnscheduled  = "runner pod %s is not scheduled: %s"
	msgNoClass      = "PersistentVolumeClaim %s has no volume, since it has no storage class and the cluster no default one; name a class in spec.buffer.disk.storageClassName"
	msgClaimPending = "PersistentVolumeClaim %s has no volume of storage class %s yet; if this lasts, its events tell why: kubectl describe pvc"
	msgExpanding    = "the volume of PersistentVolumeClaim %s is being expanded from %s to %s; if this lasts, its events tell why: kubectl describe pvc"
	msgVolumeLost   = "PersistentVolumeClaim %s has lost its volume %s, and the backlog with it; delete the claim and the pod for a new one"
	msgClaimRefused = "%w; the volume stays as it is and the bridge runs on as before: set spec.buffer.disk back to what the claim has; a new volume needs the claim deleted, with the messages on it"
	msgPodsRefused  = "Deployment %s cannot make the runner pod: %s"
	msgPodFailing   = "container %s of runner pod %s: %s"
	msgLastExit     = "exited with code %d (%s): %s"
	msgLastExitOnly = "exited with code %d (%s)"

	msgSameFile = "%s %s and %s %s are both to be the file %[2]s/%[5]s; rename one of them"
	msgNotOurs  = "%s %s exists and does not belong to this bridge; delete or rename it, or rename the bridge"
	msgLeftover = "%s %s of an earlier bridge of this name is still being removed"

	msgFailedOver     = "the %s side went from %s to %s in %d ms: %s"
	msgFailedBack     = "the %s side went back from %s to %s in %d ms: %s"
	msgSwitched       = "the %s side was switched from %s to %s in %d ms: %s"
	msgSwitchRefused  = "the %s side is not switched as requested (%q): %s"
	msgAllServersDown = "the %s side has lost every server: %s"
	msgRecovered      = "the %s side has a server again after %s: %s (%s)"
)

// Actions of events (events.k8s.io: what the reporting controller did).
const (
	actionReportFailover = "ReportFailover"
	actionReportOutage   = "ReportOutage"
	actionReportRequest  = "ReportRequest"
	actionReportMessage  = "ReportMessage"
)
