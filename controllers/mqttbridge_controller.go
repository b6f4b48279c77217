// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/client-go/tools/events"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/internal/window"
)

// The rights of the operator. It must itself hold the rights that it grants to runners: to
// patch mqttbridges/status, to watch a ConfigMap, and to update a Lease. The UID of kube-system
// identifies the cluster. The operator has no rights on Secrets, and has no right to delete a
// claim, which may hold messages. It reads pods, and patches pods/status only to set an
// annotation: the right to patch pods would include their images. It patches bridges only to set
// and remove its finalizer.
//
// +kubebuilder:rbac:groups=mqttbridge.io,resources=mqttbridges,verbs=get;list;watch;patch
// +kubebuilder:rbac:groups=mqttbridge.io,resources=mqttbridges/status,verbs=patch
// +kubebuilder:rbac:groups="",resources=configmaps;serviceaccounts,verbs=get;list;watch;create;patch;delete
// +kubebuilder:rbac:groups="",resources=persistentvolumeclaims,verbs=get;list;watch;create;patch
// +kubebuilder:rbac:groups="",resources=namespaces,resourceNames=kube-system,verbs=get
// +kubebuilder:rbac:groups="",resources=pods,verbs=get;list;watch
// +kubebuilder:rbac:groups="",resources=pods/status,verbs=patch
// +kubebuilder:rbac:groups=coordination.k8s.io,resources=leases,verbs=get;list;watch;create;update;patch;delete
// +kubebuilder:rbac:groups=networking.k8s.io,resources=networkpolicies,verbs=get;list;watch;create;patch;delete
// +kubebuilder:rbac:groups=policy,resources=poddisruptionbudgets,verbs=get;list;watch;create;patch;delete
// +kubebuilder:rbac:groups=apps,resources=deployments,verbs=get;list;watch;create;patch;delete
// +kubebuilder:rbac:groups=rbac.authorization.k8s.io,resources=roles;rolebindings,verbs=get;list;watch;create;patch;delete
// +kubebuilder:rbac:groups=events.k8s.io,resources=events,verbs=create;patch

// concurrentReconciles is the largest number of bridges that are reconciled at the same
// time. When a server that many bridges use is lost, all of them report within the same
// second, and the status of each must show it within one second.
const concurrentReconciles = 8

// firstRetry and lastRetry are the shortest and the longest time after which a failed pass
// is repeated. The time doubles with each failure.
const (
	firstRetry = 5 * time.Millisecond
	lastRetry  = time.Minute
)

// Reconciler reconciles MQTTBridges.
type Reconciler struct {
	// Client reads from the cache and writes to the API server.
	Client client.Client
	// APIReader reads from the API server.
	APIReader client.Reader
	// Recorder sends events.
	Recorder events.EventRecorder
	// RunnerImage is the image of runners whose bridge sets no image.
	RunnerImage string
	// RunnerPullSecrets are the names of the Secrets for pulling the image of runners whose bridge sets
	// no imagePullSecrets, each once.
	RunnerPullSecrets []string
	// Class is the class of bridges that are reconciled: all others are ignored. It is empty
	// for bridges without a class.
	Class string
	// Policy limits the values that bridges may set.
	Policy Policy
	// MaxUnavailable is the number, or the percentage, of bridges that may recover at the
	// same time from a roll-out, in which the operator replaces their pods. At least one
	// bridge may.
	MaxUnavailable intstr.IntOrString
	// UpdateWindows are the windows in which a roll-out may replace the pods of bridges that
	// set no windows. An empty list permits it at any time.
	UpdateWindows []window.Window
	// ClusterID identifies the cluster in default client identifiers.
	ClusterID string
	// Now returns the current time.
	Now func() time.Time
	// BridgeMetrics are the metrics of the bridges, nil if there are none.
	BridgeMetrics *BridgeMetrics

	plans    planBook
	servers  serverIndex
	fleet    fleet
	standbys standbyBook
	marks    markBook
	revision revision
}

// podDefaults are the settings of pods whose bridge does not set them.
type podDefaults struct {
	image       string
	pullSecrets []string
}

func (r *Reconciler) podDefaults() podDefaults {
	return podDefaults{image: r.RunnerImage, pullSecrets: r.RunnerPullSecrets}
}

// Reconcile makes one pass over one bridge, as the package comment describes.
func (r *Reconciler) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	bridge := &v1alpha1.MQTTBridge{}
	if err := r.Client.Get(ctx, req.NamespacedName, bridge); err != nil {
		r.forget(req.NamespacedName)
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	switch {
	case bridge.Spec.ClassName != r.Class:
		r.forget(req.NamespacedName)
		return ctrl.Result{}, nil
	case !bridge.DeletionTimestamp.IsZero():
		return r.finalize(ctx, bridge)
	case needsFinalizer(bridge) != hasFinalizer(bridge):
		err := r.setFinalizer(ctx, bridge, needsFinalizer(bridge))
		if refused(err) { // the bridge runs, and its status says that it cannot end its sessions
			return r.pass(ctx, bridge, &stallError{v1alpha1.ReasonApplyFailed, err})
		}
		// The change of the bridge starts another pass.
		return ctrl.Result{}, ignoreStale(ctx, err)
	}
	return r.pass(ctx, bridge, nil)
}

// pass makes the children match the bridge, and writes the status. refusal is why the API server
// refuses a change of the bridge itself, nil if it does not.
func (r *Reconciler) pass(ctx context.Context, bridge *v1alpha1.MQTTBridge, refusal error) (ctrl.Result, error) {
	r.BridgeMetrics.record(bridge)
	bridge.SetDefaultClientIDs(r.ClusterID) // of the copy: a runner does not know the cluster
	p, err := r.planFor(bridge)
	if err != nil {
		return ctrl.Result{}, err
	}
	if bridge.ResourceVersion == p.replaced {
		// The cache does not hold the latest write yet. When it does, another pass follows.
		return ctrl.Result{}, nil
	}
	wrote, err := r.reconcileChildren(ctx, bridge, p)
	if err == nil {
		err = refusal
	}
	var stall *stallError
	errors.As(err, &stall)
	recheck, statusErr := r.updateStatus(ctx, bridge, p, wrote, err, stall)
	if statusErr != nil {
		return ctrl.Result{}, errors.Join(err, statusErr)
	}
	if err != nil && (stall == nil || !stall.ofSpec()) {
		return ctrl.Result{}, err
	}
	// If the spec is invalid or not permitted, a retry cannot help; a change of the spec starts another pass.
	return ctrl.Result{RequeueAfter: earliest(recheck, p.retryAfter(), r.fleet.retryAfter(client.ObjectKeyFromObject(bridge), r.Now()))}, nil
}

// manages reports whether the operator makes the children match a bridge: it has the operator's
// class, and is not being deleted.
func (r *Reconciler) manages(b *v1alpha1.MQTTBridge) bool {
	return b.DeletionTimestamp.IsZero() && b.Spec.ClassName == r.Class
}

// earliest returns the shortest of several times. A time of 0 means that nothing is to be
// done.
func earliest(times ...time.Duration) time.Duration {
	times = slices.DeleteFunc(times, func(t time.Duration) bool { return t == 0 })
	if len(times) == 0 {
		return 0
	}
	return slices.Min(times)
}

// forget removes the state of a bridge that the operator does not reconcile, or no longer.
func (r *Reconciler) forget(bridge client.ObjectKey) {
	r.plans.forget(bridge)
	r.BridgeMetrics.forget(bridge)
	r.fleet.setState(bridge, "")
	r.standbys.forget(bridge)
	r.marks.forget(bridge)
}

// reconcileChildren makes the children match the spec. If the spec is invalid or breaks the
// policy, or if a child is refused, a bridge that runs continues to run. Only spec.suspend
// applies in any case, because users also set it to stop a bridge that has a problem. But a
// suspension does not end by a refused spec if the operator has a policy.
func (r *Reconciler) reconcileChildren(ctx context.Context, b *v1alpha1.MQTTBridge, p *plan) (wrote bool, err error) {
	err = p.refusal()
	if err == nil {
		wrote, err = r.applyChildren(ctx, b, p)
	} else {
		r.fleet.stopWaiting(client.ObjectKeyFromObject(b))
	}
	if err == nil {
		return wrote, nil
	}
	changed, changeErr := r.keepRunning(ctx, b)
	if changeErr != nil {
		return wrote, changeErr // the pass is repeated, and then returns the first error
	}
	return wrote || changed, err
}

// updateStatus observes the children and pods, and writes the status if it has changed. It
// then sends the events that are due, and clears the report of a runner whose pod is gone.
// failure is why the children could not be applied, and stall the same error if a user must
// act. It returns the time after which the status changes although nothing else has changed,
// 0 if it does not.
func (r *Reconciler) updateStatus(ctx context.Context, b *v1alpha1.MQTTBridge, p *plan, wrote bool, failure error, stall *stallError) (recheck time.Duration, err error) {
	o, err := r.observe(ctx, b)
	if err != nil {
		return 0, err
	}
	o.wrote, o.failure, o.stall = wrote, failure, stall
	o.windowOpens = r.fleet.opening(client.ObjectKeyFromObject(b))
	if stall == nil {
		if o.loop, err = r.findLoop(ctx, b, p); err != nil {
			return 0, err
		}
		if o.sharedClientIDs, err = r.findSharedClientIDs(ctx, b); err != nil {
			return 0, err
		}
	}
	if o.isSuspended() && len(b.Status.Runners) > 0 {
		// The condition Ready can be removed only when the runner does not own a part of it.
		// The change of the status starts another pass.
		return 0, ignoreStale(ctx, r.clearSuspended(ctx, b))
	}
	now := r.Now()
	o.noStandbySince, o.drains = r.standbys.missingSince(o, now), o.activeDrains(now)
	status := &ownStatus{Conditions: derive(o, now), ObservedGeneration: b.Generation, Runners: o.ownRunners()}
	repeated := failure != nil && (stall == nil || !stall.ofSpec())
	if !status.equals(&b.Status) && (!repeated || !p.postpones(status, &b.Status, now)) {
		changes := append(announceCause(b.Status.Conditions, status.Conditions), announceManifest(o)...)
		read := b.ResourceVersion
		if err := r.writeStatus(ctx, b, status); err != nil {
			return 0, ignoreStale(ctx, err)
		}
		if b.ResourceVersion != read {
			p.replaced = read
		}
		if repeated {
			p.failureWritten = now
		}
		r.send(b, changes)
	}
	before := sentEvents(ctx, o)
	after, due, held := announce(o, before, now)
	if err := r.sendEvents(ctx, o, before, after, due); err != nil {
		return 0, ignoreStale(ctx, err)
	}
	if len(b.Status.Runners) > 0 && o.reportingPod() == nil {
		return 0, ignoreStale(ctx, r.clearReport(ctx, b))
	}
	return earliest(untilChange(o, now), held), r.markActive(ctx, o)
}

// observe reads the state that the conditions are derived from. The objects belong to the
// cache and must not be changed.
func (r *Reconciler) observe(ctx context.Context, b *v1alpha1.MQTTBridge) (*observation, error) {
	o := &observation{bridge: b}
	key := client.ObjectKey{Namespace: b.Namespace, Name: childName(b.Name)}
	deployment := &appsv1.Deployment{}
	err := r.Client.Get(ctx, key, deployment, client.UnsafeDisableDeepCopy)
	if err == nil {
		o.deployment = deployment
	} else if !apierrors.IsNotFound(err) {
		return nil, fmt.Errorf("reading Deployment %s: %w", key.Name, err)
	}
	config := &corev1.ConfigMap{}
	err = r.Client.Get(ctx, key, config, client.UnsafeDisableDeepCopy)
	if err == nil && metav1.IsControlledBy(config, b) {
		o.manifest = config
	} else if client.IgnoreNotFound(err) != nil {
		return nil, fmt.Errorf("reading ConfigMap %s: %w", key.Name, err)
	}
	claim := &corev1.PersistentVolumeClaim{}
	err = r.Client.Get(ctx, key, claim, client.UnsafeDisableDeepCopy)
	if err == nil {
		o.claim = claim
	} else if !apierrors.IsNotFound(err) {
		return nil, fmt.Errorf("reading PersistentVolumeClaim %s: %w", key.Name, err)
	}
	o.pods, err = r.podsOf(ctx, b)
	return o, err
}

// ignoreStale ignores the error of a write that was refused because the bridge has changed:
// the watch delivers the change and starts another pass.
func ignoreStale(ctx context.Context, err error) error {
	if apierrors.IsConflict(err) || apierrors.IsNotFound(err) {
		log.FromContext(ctx).V(1).Info("the bridge has changed since it was read; another pass follows", "error", err.Error())
		return nil
	}
	return err
}
