//! The embedded data plane as an HTTP client finds it: requests, answers and faults. Requests
//! and answers that Braintrust's OpenAPI file covers are held against it (`contract`).

#[cfg(test)]
mod access;
#[cfg(test)]
mod audit;
#[cfg(test)]
mod automations;
#[cfg(test)]
mod contract;
#[cfg(test)]
mod faults;
#[cfg(test)]
mod freshness;
#[cfg(test)]
mod overflow;
#[cfg(test)]
mod paging;
#[cfg(test)]
mod projects;
#[cfg(test)]
mod queries;
#[cfg(test)]
mod registration;
#[cfg(test)]
mod replay;
#[cfg(test)]
mod summaries;
#[cfg(test)]
mod support;
