// Docker's less common fields of `inspect`, from the configuration and what was asked for. What cannot be
// in Bulkhead (published ports, links, name servers) has Docker's value for "none".
#pragma once

#include "engine/container_record.h"
#include "json/writer.h"
#include "oci/spec.h"

namespace bulkhead::engine {

// Members of HostConfig.
void write_host_details(json::Writer& writer, const oci::Spec& spec, const GivenWords& given);
// Members of NetworkSettings: of addresses there are none.
void write_no_addresses(json::Writer& writer);
// Config.ExposedPorts, where there are any.
void write_exposed_ports(json::Writer& writer, const oci::Spec& spec);

}  // namespace bulkhead::engine
