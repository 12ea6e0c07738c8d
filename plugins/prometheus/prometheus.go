// Package prometheus holds the probe prometheus.query: what a PromQL instant query
// gives, as a fact. Every exporter in use becomes a probe by it.
//
//	copies:
//	  cluster: {probe: prometheus.query, on: dr1, every: 1m,
//	            with: {url: "https://prometheus.example", token_file: /etc/holdfast/prometheus, recovery_point: true,
//	                   query: 'max(velero_backup_last_successful_timestamp{schedule="daily"})'}}
//	needs:
//	  - {probe: prometheus.query, on: dr1, every: 1m, name: room-for-pods,
//	     with: {url: "https://prometheus.example", query: "sum(kube_node_status_allocatable{resource='cpu'})", at_least: 64}}
//
// The query goes to Prometheus or what speaks its HTTP API (Thanos, Mimir,
// VictoriaMetrics): GET url/api/v1/query, evaluated at that server's own now.
//
//	what comes back                                    outcome
//	numbers, every one within at_least and at_most     ok
//	one outside of them                                failed assertion, naming the worst
//	recovery_point: a Unix time                        ok, with that recovery point; of several series the oldest
//	recovery_point: 0, as exporters write "never"      failed empty
//	nothing                                            failed empty; with absent: ok it is ok
//	NaN, a time in milliseconds or in the future       cannot tell
//	nothing, and a warning                             cannot tell: part of the data may be missing
//
// Prometheus is a witness and not the thing itself. Whatever keeps it from
// answering is "cannot tell": no such host or no answer (unreachable, timeout),
// its certificate (unreachable), a token it does not take (credential), a token
// that cannot be read (credential-unreadable), a query it cannot evaluate.
//
// A series whose target no longer answers ends at once; one that nobody scrapes
// any more ends after Prometheus's lookback of five minutes. Then the result is
// empty, which is why empty is a failure unless the check says otherwise. A number
// in at_least or at_most is what the recovery path needs, never an objective.
package prometheus

import "github.com/holdfast-monitor/holdfast/plugins/probe"

// Probes lists the probes of this plugin.
func Probes() []probe.Probe { return []probe.Probe{query{}} }
