// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

// Messages of conditions, events and errors. Each describes the state and, if a user must
// act, the remedy.
const (
	msgSuspended = "the bridge is suspended; set spec.suspend to false to resume it"

	msgNoPod         = "no runner pod exists; Deployment %s creates it, unless the condition Stalled reports a problem"
	msgForeignPods   = "Deployment %s does not belong to this bridge, so that its pods do not run this bridge"
	msgPodDeleting   = "runner pod %s is being deleted"
	msgPodNotRunning = "runner pod %s is %s; if this does not end, the events of the pod show the cause: kubectl describe pod"
	msgPodStopping   = "runner pod %s stops: it accepts no more messages, and waits for up to 10 seconds until the messages that it holds are acknowledged"
	msgPodNotReady   = "runner pod %s is not ready; if this does not end, check its log"
	msgNodeLost      = "the node of runner pod %s does not answer, so it is not known whether the bridge forwards; if the node stays lost, Kubernetes replaces the pod on another node; check the node: kubectl get nodes"
	msgPodNoReport   = "runner pod %s has not reported its state yet; if this does not end, check its log"

	msgGenerationApplied = "generation %d is being applied"
	msgGenerationBlocked = "generation %d is not in effect: %s: %s" // reason and message of Stalled or Reconciling
	msgOtherGeneration   = "runner pod %s runs generation %d, and applies generation %d within seconds; if this takes longer than two minutes, check its log; a runner of an earlier version applies a change only at its start: set spec.runner.image to a newer image, or start it again: kubectl rollout restart deployment/%s"
	msgManifestRefused   = "runner pod %s cannot apply generation %d, and continues with generation %d: %s; correct the spec, or change spec.runner.image if it names an image of another version" // the message of the runner
	msgRetried           = "%s; the operator tries again, at least once a minute"

	msgStandbyFailed    = "the %s side cannot fail over to %s (%s), which has failed%s" // the last is empty, or a colon and the cause
	msgStandbyRecovered = "the %s side can fail over to %s (%s) again"

	msgOnPrimary            = "both sides are on their primary server"
	msgOnBackup             = "the %s side is on %s (%s), not on its primary server; status.%[1]s.servers shows the state of the primary server"
	msgLoop                 = "messages circulate in a loop through several bridges between the same servers: %s; change a filter or topic, or add the topics that the other bridges publish to the exclude field of a rule, or set protocolVersion: '5' and delivery.maxHops in all of these bridges"
	msgClientIDUse          = "%s %q is also %s of %s/%s"                                            // field and value, the other bridge's field, namespace and name
	msgClientIDUseElsewhere = "%s %q is also the client identifier of a bridge in another namespace" // field and value
	msgClientIDShared       = "two bridges use the same client identifier with the same server, which therefore ends the session of one when the other connects: %s; set another clientID in all but one of these bridges, or remove it, because the default is different for each bridge"
	msgNoClusterID          = "reading the UID of the namespace kube-system, which makes the default client identifiers differ between clusters: %w; permit the operator to get this namespace, or set --cluster-id"
	msgShortfall            = "the %s side, %s: %s" // server and message of the shortfall
	msgBuffer               = "%s: %s"              // localToRemote or remoteToLocal, and the message of the backlog

	msgUnforwardable = "%s: no server accepts a message of %s to %s: %s: %s" // localToRemote or remoteToLocal; reason and message of the runner

	msgNoStandby       = "no second runner is ready to take over: %s" // the cause
	msgStandbyNotWarm  = "runner pod %s runs, but is not a warm standby of %s; check that the pods of the bridge reach each other on TCP port %d, also through NetworkPolicies, that both reach the servers in use, and check the log of the pod"
	msgStandbyNoPod    = "Deployment %s has created no second pod; check its conditions: kubectl describe deployment"
	msgStandbyNodeLost = "the node of runner pod %s does not answer; check the node: kubectl get nodes"
	msgApplied         = "the operator has changed child objects of the bridge, such as the Deployment; the changes are being rolled out"
	msgRollingOut      = "Deployment %s is being rolled out"
	msgDraining        = "the runner waits for up to 10 seconds until the messages that it holds are acknowledged; then the bridge is suspended"
	msgUnscheduled     = "runner pod %s is not scheduled: %s"
	msgNoClass         = "PersistentVolumeClaim %s has no volume, because it has no storage class and the cluster has no default class; name a class in spec.buffer.disk.storageClassName"
	msgClaimPending    = "PersistentVolumeClaim %s has no volume of storage class %s yet; if this does not end, the events of the claim show the cause: kubectl describe pvc"
	msgExpanding       = "the volume of PersistentVolumeClaim %s is being expanded from %s to %s; if this does not end, the events of the claim show the cause: kubectl describe pvc"
	msgVolumeLost      = "PersistentVolumeClaim %s has lost its volume %s, and the backlog with it; delete the claim and the pod to get a new volume"
	msgClaimRefused    = "%w; the volume and the running bridge are unchanged; set spec.buffer.disk back to the values of the claim, or delete the claim to get a new volume, which also deletes the messages on the old volume"
	msgPodsRefused     = "Deployment %s cannot create the runner pod: %s"
	msgRolloutTimedOut = "Deployment %s makes no progress: %s; check the pod: kubectl describe pod"
	msgPodFailing      = "container %s of runner pod %s: %s"
	msgImageNotPulled  = "%s; check spec.runner.image or the operator's --runner-image, spec.runner.imagePullSecrets, and that the node reaches the registry"
	msgLastExit        = "exited with code %d (%s): %s"
	msgLastExitOnly    = "exited with code %d (%s)"

	msgInvalidSpec  = "the spec is not applied, and a running bridge continues with the previous spec; correct these errors: %w"
	msgClaimAdopted = "the bridge uses PersistentVolumeClaim %s of an earlier bridge of this name; it sends the messages that are on its volume"

	msgImageForbidden          = "the operator permits these images: %s; remove spec.runner.image to use the operator's image, or add the image to the operator's flag --allowed-images"
	msgPriorityForbidden       = "the operator permits these priority classes: %s; choose one of them, or add the class to the operator's flag --allowed-priority-classes"
	msgServiceAccountForbidden = "the operator permits these ServiceAccounts: %s; remove the field to use the bridge's own ServiceAccount, or add the name to the operator's flag --allowed-service-accounts"
	msgTolerationsForbidden    = "the operator permits no tolerations; remove them, or start the operator with --allow-tolerations=true"
	msgSecretForbidden         = "the operator permits Secrets with these names: %s; copy the Secret to a permitted name, or add its name to the operator's flag --allowed-secrets"

	msgNotOurs  = "%s %s exists and does not belong to this bridge; delete or rename it, or rename the bridge"
	msgLeftover = "%s %s of an earlier bridge of this name is still being deleted"

	msgFailedOver     = "the %s side failed over from %s to %s: %s%s without a server: %s" // the silence, the duration and the reason
	msgFailedBack     = "the %s side failed back from %s to %s: %s%s without a server: %s"
	msgReturned       = "the %s side failed back from %s to %s: no messages were published for %s" // from a server that had not failed
	msgSwitched       = "the %s side was switched from %s to its preferredServer %s: no messages were published for %s"
	msgServerRemoved  = "the %s side was switched from %s, which the spec no longer lists, to %s: no messages were published for %s"
	msgURLChanged     = "the %[1]s side was switched to the changed URL of %[3]s: no messages were published for %[4]s"
	msgSilence        = "%s without acknowledgement, then "
	msgMoreSwitches   = "; no event of %s of this side since %s" // a number of switches and a time
	msgManifestUsed   = "runner pod %s has applied a change of the spec"
	msgSwitchRefused  = "the %s side does not switch to its preferredServer %q: %s"
	msgAllServersDown = "every server of the %s side is down: %s"
	msgStillDown      = "every server of the %s side is still down, and the causes have changed: %s"
	msgRecovered      = "the %s side is connected again after %s: %s (%s)"
)

// Messages of events about the buffer on disk.
const (
	msgBufferTrouble   = "%s: %s" // localToRemote or remoteToLocal, and the message of the backlog
	msgBufferRecovered = "%s: the buffer on disk was %s and is no longer; its state is %s"
)

// Messages of events about a change of the active runner.
const (
	msgHandedOver = "runner pod %[2]s handed over to %[1]s; no runner forwarded for %[3]s"
	msgTookOver   = "runner pod %s took over from %s, %[4]s; no runner forwarded for %[3]s"

	msgPeerEnded     = "whose process has ended"
	msgLeaseExpired  = "which has not renewed the Lease of the bridge; check its node: kubectl get nodes"
	msgLeaseReleased = "which has released the Lease of the bridge"
)

// Messages of events about a runner that has ended. The remedy is one of the messages below.
const (
	msgRunnerTerminated = "the runner in pod %s ended at %s, after %s, with exit code %d (%s); restarts of this pod: %d; %s"
	msgPodEvicted       = "runner pod %s was ended (%s): %s; Kubernetes replaces it; the events of the pod and of its node show more: kubectl describe pod"

	msgExitOutOfMemory = "it needed more memory than its limit; increase spec.runner.resources.limits.memory, or reduce buffer.memory.size, maximumPacketSize or delivery.inflightWindow"
	msgExitStopped     = "the kubelet stopped it, for example because /livez failed; the events of the pod show the cause: kubectl describe pod"
	msgExitKilled      = "it was killed (SIGKILL), for example because the node has too little memory, or because it did not stop in time; the events of the pod and of its node show the cause: kubectl describe pod"
	msgExitArguments   = "the image does not know the arguments that the operator gives it; set spec.runner.image to an image of the operator's version, or remove it"
	msgExitFailed      = "%s; if this repeats, check its log: kubectl logs --previous" // the last lines of its output
)

// Messages about the deletion of a bridge.
const (
	msgDeleting             = "the bridge is being deleted, and the runner cannot end its sessions yet: %s"
	msgDeletionNotBegun     = "runner pod %s has not reported any progress of the deletion yet; if this does not end, check its log and the version of its image"
	msgConnectionsClosed    = "the bridge is being deleted, and the runner has closed its connections"
	msgSessionsEnded        = "the bridge has no sessions and no retained notifications on its servers any more"
	msgDeletionTimeout      = "deletionTimeoutSeconds (%.0f) has passed"
	msgNamespaceTerminating = "the namespace is being deleted, and no runner pod is left"
	msgDeletionIncomplete   = "the bridge is deleted before the work of its deletionPolicy is done, because %s; these remain, and the servers may queue messages in the sessions until you end them: %s"
)

// Messages about changes that are refused or wait.
const (
	msgTemplateNotOurs = "the operator does not own the pod template of Deployment %s; delete the Deployment, so that the operator creates it again"
	msgDryRunRefused   = "the API server refuses the change, so that no child object of the bridge is changed: %w"
	msgUpdateScheduled = "the pod keeps its image and template: a new version of the operator, or a new default image of the runners, replaces it when a window of %s opens, next at %s; a change of the spec is applied at once"
	msgNotAWindow      = "--update-windows: the window %q must be a schedule with the five fields of cron, and a duration in whole minutes from 1m to 168h, as in \"0 2 * * 6 4h\"; separate several windows by semicolons"
	msgRolloutStopped  = "the roll-out of a new version of the operator, or of a new default image of the runners, stops: this bridge was %s before its pod was replaced, and does not start again: %s; the remaining bridges keep their pods; correct the value of --runner-image of the operator, or the cause"
)

// Actions of events: in events.k8s.io, the action that the reporting controller took.
const (
	actionReportFailover = "ReportFailover"
	actionReportOutage   = "ReportOutage"
	actionReportRequest  = "ReportRequest"
	actionReportMessage  = "ReportMessage"
	actionReportStandby  = "ReportStandby"
	actionApply          = "Apply"
	actionReportRollout  = "ReportRollout"
	actionReportManifest = "ReportManifest"
	actionReportBuffer   = "ReportBuffer"
	actionReportRunner   = "ReportRunner"
	actionReportTakeover = "ReportTakeover"
	actionAdoptClaim     = "AdoptClaim"
	actionEndSessions    = "EndSessions"
)
