//! The embedded S3 and STS as the real SDKs find them: HTTP, signatures and XML.

#[cfg(test)]
mod access;
#[cfg(test)]
mod conditions;
#[cfg(test)]
mod digests;
#[cfg(test)]
mod faults;
#[cfg(test)]
mod listing;
#[cfg(test)]
mod objects;
#[cfg(test)]
mod restart;
#[cfg(test)]
mod sts;
#[cfg(test)]
mod support;
#[cfg(test)]
mod uploads;
