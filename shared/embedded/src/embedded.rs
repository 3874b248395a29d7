//! Starting and stopping, and what a caller can do from outside HTTP.

use std::fs::{File, TryLockError};
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use sealift_core::id::{AccountId, BucketName};
use sealift_core::ports::{Clock, Entropy};

use crate::faults::Faults;
use crate::iam::{Iam, IamError, Platform};
use crate::notification::{Hooks, ObjectCreated};
use crate::request_log::RequestLog;
use crate::s3::store::Store;
use crate::server::Server;
use crate::shared::Shared;
use crate::time::Time;

/// How an embedded AWS is started.
pub struct Options {
    data: PathBuf,
    platform: Platform,
    time: Time,
    entropy: Arc<dyn Entropy>,
    listen: SocketAddr,
    region: String,
    log_limit: usize,
}

impl Options {
    /// What has no default: the folder that everything is kept in, the account that runs
    /// Sealift, time and chance. The clock dates objects and ends sessions; that a signature is
    /// fresh is checked against the machine's own.
    pub fn new<C: Clock + 'static>(
        data: impl Into<PathBuf>,
        platform: Platform,
        clock: Arc<C>,
        entropy: Arc<dyn Entropy>,
    ) -> Self {
        Self {
            data: data.into(),
            platform,
            time: Time::new(clock),
            entropy,
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            region: "us-east-1".to_owned(),
            log_limit: 10_000,
        }
    }

    /// Listens here, in place of a free port on 127.0.0.1.
    #[must_use]
    pub fn listen(mut self, address: SocketAddr) -> Self {
        self.listen = address;
        self
    }

    /// The region that all buckets are in, in place of `us-east-1`.
    #[must_use]
    pub fn region(mut self, region: &str) -> Self {
        region.clone_into(&mut self.region);
        self
    }

    /// Keeps so many whole records in the request log, in place of 10,000.
    #[must_use]
    pub fn keep_requests(mut self, limit: usize) -> Self {
        self.log_limit = limit;
        self
    }
}

/// Why an embedded AWS did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Another process runs on the folder; end it, or take another folder.
    #[error("{} is in use by another process: it holds the lock on {}", data.display(), lock.display())]
    InUse {
        /// The folder.
        data: PathBuf,
        /// The lock's file.
        lock: PathBuf,
    },
    /// The folder, or something in it, cannot be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// The folder.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system says.
        source: io::Error,
    },
    /// The identities that are kept in the folder cannot be read.
    #[error(transparent)]
    Iam(#[from] IamError),
}

/// Why a bucket was not created.
#[derive(Debug, thiserror::Error)]
pub enum CreateBucketError {
    /// There is one, of the owner told.
    #[error("bucket {bucket} exists already; it belongs to account {owner}")]
    Exists {
        /// The bucket.
        bucket: BucketName,
        /// Whose it is.
        owner: AccountId,
    },
    /// Its folder cannot be made.
    #[error("the folder of bucket {bucket} cannot be made: {source}")]
    Io {
        /// The bucket.
        bucket: BucketName,
        /// What the system says.
        source: io::Error,
    },
}

/// A running AWS of one machine. It stops when it is dropped; [`shutdown`](Self::shutdown) lets
/// the requests under way finish first.
pub struct Embedded {
    shared: Arc<Shared>,
    server: Server,
    // Released last: the lock is what keeps others out until nothing here is under way.
    _lock: File,
}

impl Embedded {
    /// Starts on the folder, with all that an earlier run has left there.
    pub async fn start(options: Options) -> Result<Self, StartError> {
        let data = options.data.clone();
        let prepared = tokio::task::spawn_blocking(move || prepare(options)).await;
        let (shared, lock, address) = prepared.map_err(|error| StartError::Io {
            path: data,
            source: io::Error::other(error),
        })??;
        let server = Server::start(address, Arc::clone(&shared)).await;
        let server = server.map_err(|source| StartError::Listen { address, source })?;
        Ok(Self {
            shared,
            server,
            _lock: lock,
        })
    }

    /// Where S3 and STS listen: `http://127.0.0.1:<port>`. Buckets are addressed by path.
    pub fn endpoint_url(&self) -> String {
        format!("http://{}", self.server.address())
    }

    /// The region that all buckets are in.
    pub fn region(&self) -> &str {
        &self.shared.region
    }

    /// Creates a bucket for an account.
    pub fn create_bucket(
        &self,
        bucket: &BucketName,
        owner: &AccountId,
    ) -> Result<(), CreateBucketError> {
        match self.shared.store.create_bucket(bucket, owner) {
            Ok(None) => Ok(()),
            Ok(Some(owner)) => Err(CreateBucketError::Exists {
                bucket: bucket.clone(),
                owner,
            }),
            Err(source) => Err(CreateBucketError::Io {
                bucket: bucket.clone(),
                source,
            }),
        }
    }

    /// The account that a bucket belongs to; `None` if there is no such bucket.
    pub fn bucket_owner(&self, bucket: &BucketName) -> Option<AccountId> {
        let bucket = self.shared.store.bucket(bucket.as_str());
        bucket.map(|bucket| bucket.owner.clone())
    }

    /// Roles and users.
    pub fn iam(&self) -> &Iam {
        &self.shared.iam
    }

    /// Faults to be injected.
    pub fn faults(&self) -> &Faults {
        &self.shared.faults
    }

    /// What was asked and answered.
    pub fn requests(&self) -> &RequestLog {
        &self.shared.log
    }

    /// Has the hook told of every object that is created in the bucket from now on. It is
    /// called before the writer gets its answer, on a thread that may block for a moment;
    /// several writers' calls may overlap.
    pub fn on_object_created(
        &self,
        bucket: &BucketName,
        hook: impl Fn(&ObjectCreated) + Send + Sync + 'static,
    ) {
        self.shared.hooks.add(bucket.as_str(), hook);
    }

    /// Takes no more requests, lets those under way finish (for 2 seconds at the most) and
    /// releases the folder.
    pub async fn shutdown(mut self) {
        self.server.stop().await;
    }
}

/// Everything that blocks of a start.
fn prepare(options: Options) -> Result<(Arc<Shared>, File, SocketAddr), StartError> {
    let data = options.data;
    let failed = |source| StartError::Io {
        path: data.clone(),
        source,
    };
    let iam = data.join("iam");
    std::fs::create_dir_all(&iam).map_err(failed)?;
    let lock = lock(&data)?;
    let shared = Shared {
        time: options.time,
        entropy: Arc::clone(&options.entropy),
        region: options.region,
        iam: Iam::open(&iam, options.platform, options.entropy)?,
        store: Arc::new(Store::open(&data).map_err(failed)?),
        faults: Faults::default(),
        log: RequestLog::new(options.log_limit),
        hooks: Hooks::default(),
        parts: Mutex::default(),
    };
    Ok((Arc::new(shared), lock, options.listen))
}

/// Keeps other processes off the folder for as long as the file is open.
fn lock(data: &Path) -> Result<File, StartError> {
    let path = data.join("lock");
    let failed = |source| StartError::Io {
        path: path.clone(),
        source,
    };
    let mut open = std::fs::OpenOptions::new();
    let file = open
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path)
        .map_err(failed)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(StartError::InUse {
            data: data.to_owned(),
            lock: path,
        }),
        Err(TryLockError::Error(source)) => Err(failed(source)),
    }
}
