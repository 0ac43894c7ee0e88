/* cloudevent.h - an event of the audit trail as a CloudEvent 1.0, structured JSON mode.
 *
 *     {"specversion":"1.0","id":"<hash of the
 * event>","source":"/slipway","type":"slipway.alert.open",
 *      "subject":"alert/drift/churn/7/age","time":"2026-01-31T09:30:00.123456Z",
 *      "datacontenttype":"application/json","sequence":"00000000000000001204",
 *      "data":{"seq":1204,"actor":"slipway","via":"alerts","action":"alert.open",
 *              "before":null,"after":{...},"request_id":null}}
 *
 * The id is the event's hash in the trail, so it is the same however often the event is sent, and
 * can be looked up. `sequence` (the extension of that name) sorts as text.
 */
#ifndef SLIPWAY_EVENT_CLOUDEVENT_H
#define SLIPWAY_EVENT_CLOUDEVENT_H

#include "event/audit.h"

#define CLOUDEVENT_CONTENT_TYPE "application/cloudevents+json; charset=utf-8"

enum { CLOUDEVENT_BYTES_MAX = 8 * AUDIT_STATE_BYTES_MAX };

void cloudevent_format(const struct audit_event *event, const char *source, struct buf *out);

#endif
